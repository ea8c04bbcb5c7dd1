import ArgumentParser
import FoundationEssentials
import PlaneAPI

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Invite nodes.", subcommands: [Create.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a join bundle for one node, to be used once.",
            discussion: "The bundle holds a secret: write it to a file of mode 0600, never into an argument.")

        @Option(help: "The cluster to join.") var cluster: String
        @Option(help: "The node's name.") var node: String
        @Option(help: "Where the node reaches the plane; default: where it listens now.") var url: String?
        @Option(help: "How long the bundle may be used.") var ttl = TimeSpan(seconds: 3600)
        @OptionGroup var state: StateOption

        func validate() throws { try requireName(node, "the node's name") }

        func run() throws {
            let state = try state.open()
            let bundle = try state.database.write { database -> JoinBundle in
                try state.requireCluster(cluster, database)
                let stored = try PlaneState.setting(PlaneState.urlSetting, database)
                guard let url = url ?? stored.map({ String(decoding: $0, as: UTF8.self) }) else {
                    throw PlaneProblem(
                        "no address for the bundle", remedy: "start the plane once, or give --url https://HOST:PORT")
                }
                guard url.hasPrefix("https://") else {
                    throw PlaneProblem("--url \(url) is no address", remedy: "it must begin with https://")
                }
                try state.invite(node: node, of: cluster, now: UnixTime.now, database)
                let token = try JoinToken.create(
                    cluster: cluster, node: node, lifetime: ttl.seconds, now: UnixTime.now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "token.create", actor: .caller, cluster: cluster, node: node,
                        detail: "token \(token.id), for \(url), to be used within \(ttl.defaultValueDescription)"),
                    now: UnixTime.now, database)
                return JoinBundle(
                    url: url, cluster: cluster, node: node, pins: try AuthoritiesInForce(database).pins,
                    token: token.text)
            }
            print(try bundle.text)
        }
    }
}
