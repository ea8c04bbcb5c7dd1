import ArgumentParser
import PlaneAPI

struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Remove and replace nodes.", subcommands: [Remove.self, Replace.self])

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a node: revokes its certificates, forgets its tokens and roles, keeps its audit log.")

        @Argument(help: "The node's name.") var node: String
        @Option(help: "Its cluster.") var cluster: String
        @OptionGroup var state: StateOption

        func run() throws {
            let state = try state.open()
            let revoked = try state.database.write { database in
                try database.execute(
                    sql: "DELETE FROM nodes WHERE cluster = ? AND name = ?", arguments: [cluster, node])
                guard database.changesCount > 0 else {
                    throw PlaneProblem(
                        "there is no node \(node) in \(cluster)", remedy: "`nodeguard-plane nodes` lists them")
                }
                // Otherwise a node of the same name would be waiting for one of its own.
                _ = try DesiredStates.clear(node: node, of: cluster, state, now: UnixTime.now, database)
                let revoked = try IssuedCertificates.revokeAll(of: node, in: cluster, now: UnixTime.now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "node.remove", actor: .caller, cluster: cluster, node: node,
                        detail: "\(revoked) certificates are revoked, tokens and roles forgotten"),
                    now: UnixTime.now, database)
                return revoked
            }
            print("\(node) of \(cluster) is removed, \(revoked) certificates are revoked")
        }
    }

    struct Replace: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a node's place to another machine: revokes what the old one has, and prints a join bundle.",
            discussion: """
                What the node may be certified for, and what is desired of it, stays. The bundle holds a secret: write \
                it to a file of mode 0600, never into an argument.
                """)

        @Argument(help: "The node's name.") var node: String
        @Option(help: "Its cluster.") var cluster: String
        @Option(help: "Where the node reaches the plane; default: where it listens now.") var url: String?
        @Option(help: "How long the bundle may be used.") var ttl = TimeSpan(seconds: 3600)
        @OptionGroup var state: StateOption

        func run() throws {
            let state = try state.open()
            let bundle = try state.database.write { database in
                let now = UnixTime.now
                let revoked = try Replacement.begin(node, of: cluster, now: now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "node.replace", actor: .caller, cluster: cluster, node: node,
                        detail: "\(revoked) certificates are revoked as superseded; another machine is invited"),
                    now: now, database)
                return try Invitation(cluster: cluster, node: node, url: url, lifetime: ttl)
                    .make(state, now: now, database)
            }
            print(try bundle.text)
        }
    }
}
