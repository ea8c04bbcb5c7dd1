import ArgumentParser

struct NodesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes", abstract: "List the nodes: identity, when last seen, audit received.")

    @Option(help: "Only of this cluster.") var cluster: String?
    @Flag(help: "As JSON.") var json = false
    @OptionGroup var state: StateOption

    struct Line: Encodable {
        let cluster: String
        let node: String
        /// invited, enrolled, expired or revoked
        let state: String
        let serial: String?
        let notAfter: String?
        let lastSeen: String?
        let auditEvents: Int64

        private enum CodingKeys: String, CodingKey {
            case cluster, node, state, serial
            case notAfter = "not_after"
            case lastSeen = "last_seen"
            case auditEvents = "audit_events"
        }
    }

    func run() throws {
        let lines = try state.open().database.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT nodes.cluster, nodes.name, last_seen_at, serial, not_after, revoked_at,
                        (SELECT coalesce(sum(size), 0) FROM audit_logs
                         WHERE cluster = nodes.cluster AND node = nodes.name) AS events
                    FROM nodes LEFT JOIN certificates ON serial = (
                        SELECT serial FROM certificates AS own
                        WHERE own.cluster = nodes.cluster AND own.holder = nodes.name AND kind = 'node'
                        ORDER BY revoked_at IS NOT NULL, not_after DESC LIMIT 1)
                    WHERE ?1 IS NULL OR nodes.cluster = ?1 ORDER BY nodes.cluster, nodes.name
                    """,
                arguments: [cluster]
            ).map { Self.line($0, now: UnixTime.now) }
        }
        if json { return try JSONOutput.print(lines) }
        var table = TextTable(["CLUSTER", "NODE", "STATE", "UNTIL", "LAST SEEN", "EVENTS", "SERIAL"])
        for line in lines {
            table.add([
                line.cluster, line.node, line.state, line.notAfter ?? "-", line.lastSeen ?? "-",
                String(line.auditEvents), line.serial ?? "-",
            ])
        }
        print(table)
    }

    private static func line(_ row: Row, now: Int64) -> Line {
        let notAfter: Int64? = row["not_after"]
        let revokedAt: Int64? = row["revoked_at"]
        let lastSeen: Int64? = row["last_seen_at"]
        let state =
            if let notAfter {
                revokedAt != nil ? "revoked" : notAfter <= now ? "expired" : "enrolled"
            } else {
                "invited"
            }
        return Line(
            cluster: row["cluster"], node: row["name"], state: state, serial: row["serial"],
            notAfter: notAfter.map(UnixTime.text), lastSeen: lastSeen.map(UnixTime.text), auditEvents: row["events"])
    }
}

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
