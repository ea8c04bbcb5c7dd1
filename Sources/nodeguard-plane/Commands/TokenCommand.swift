import ArgumentParser
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
            let invitation = Invitation(cluster: cluster, node: node, url: url, lifetime: ttl)
            let bundle = try state.database.write { try invitation.make(state, now: UnixTime.now, $0) }
            print(try bundle.text)
        }
    }
}
