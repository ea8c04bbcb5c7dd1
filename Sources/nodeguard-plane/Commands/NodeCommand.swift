import ArgumentParser

struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Remove nodes.", subcommands: [Remove.self])

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
}
