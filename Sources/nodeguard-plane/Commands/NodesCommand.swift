import ArgumentParser
import PlaneAPI

struct NodesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes", abstract: "List the nodes: identity, when last seen, what they report, audit received.")

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
        /// set-back, cloned, or old-machine (the one that was replaced has called); nil: nothing is odd about it
        let finding: String?
        let findingAt: String?
        let reported: String?
        let observed: ObservedState?
        /// The version that is desired; 0: none
        let desired: Int64

        /// What is applied, and what is desired if that is another.
        var desiredText: String {
            let applied = observed?.desired?.version ?? 0
            let text = applied == desired ? "\(applied)" : "\(applied) of \(desired)"
            return (observed?.desired?.refusal).map { "\(text), \($0.reason)" } ?? text
        }

        private enum CodingKeys: String, CodingKey {
            case cluster, node, state, serial, finding, reported, observed, desired
            case findingAt = "finding_at"
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
            ).map { try Self.line($0, now: UnixTime.now, database) }
        }
        if json { return try JSONOutput.print(lines) }
        var table = TextTable([
            "CLUSTER", "NODE", "STATE", "UNTIL", "LAST SEEN", "EVENTS", "AGENT", "DESIRED", "NOTE", "SERIAL",
        ])
        for line in lines {
            table.add([
                line.cluster, line.node, line.state, line.notAfter ?? "-", line.lastSeen ?? "-",
                String(line.auditEvents), line.observed?.version ?? "-",
                line.desiredText, line.finding ?? "-", line.serial ?? "-",
            ])
        }
        print(table)
    }

    private static func line(_ row: Row, now: Int64, _ database: Database) throws -> Line {
        let notAfter: Int64? = row["not_after"]
        let revokedAt: Int64? = row["revoked_at"]
        let lastSeen: Int64? = row["last_seen_at"]
        let state =
            if let notAfter {
                revokedAt != nil ? "revoked" : notAfter <= now ? "expired" : "enrolled"
            } else {
                "invited"
            }
        let last = try ObservedReports.last(of: row["name"], in: row["cluster"], database)
        let finding = last?.finding(at: now)
        let returned = try Replacement.returnTime(row["name"], of: row["cluster"], database)
        return Line(
            cluster: row["cluster"], node: row["name"], state: state, serial: row["serial"],
            notAfter: notAfter.map(UnixTime.text), lastSeen: lastSeen.map(UnixTime.text), auditEvents: row["events"],
            finding: finding?.rawValue ?? returned.map { _ in "old-machine" },
            findingAt: (finding == nil ? returned : last?.foundAt).map(UnixTime.text),
            reported: last.map { UnixTime.text($0.receivedAt) }, observed: last?.report,
            desired: try DesiredStates.version(of: row["cluster"], database))
    }
}
