import FoundationEssentials
import PlaneAPI

/// The last report of each node, and what was odd about its reports.
enum ObservedReports {
    struct Last: Sendable {
        let report: ObservedState
        let receivedAt: Int64
        let finding: ReportOrderStateMachine.Finding?
        let foundAt: Int64?
    }

    /// A finding of the same kind is one event in this time, in seconds.
    static let eventInterval: Int64 = 3600
    /// How long a finding is shown after it was last made.
    static let findingLifetime: Int64 = 7 * 86_400

    /// `bytes`: as they came; they say `report`.
    static func take(
        _ report: ObservedState, _ bytes: [UInt8], from identity: NodeIdentity, _ log: PlaneLog, now: Int64,
        _ database: Database
    ) throws {
        try identity.requireStanding(now: now, database)
        let row = try Row.fetchOne(
            database, sql: "SELECT * FROM observed WHERE cluster = ? AND node = ?",
            arguments: [identity.cluster, identity.node])
        var order = ReportOrderStateMachine(instance: report.instance, generation: report.generation)
        var finding: ReportOrderStateMachine.Finding?
        if let row {
            order = ReportOrderStateMachine(
                instance: row["instance"], generation: row["generation"], former: try list(row["former"]))
            let stored: Data = row["report"]
            finding = order.reported(
                instance: report.instance, generation: report.generation, isRepeated: Array(stored) == bytes)
        }
        let before: String? = row?["finding"]
        let beforeAt: Int64? = row?["found_at"]
        if let finding {
            let isNews = before != finding.rawValue || now - (beforeAt ?? 0) >= eventInterval
            if isNews { try log.record(event(finding, report, identity), now: now, database) }
        }
        try database.execute(
            sql: """
                INSERT INTO observed
                (cluster, node, instance, former, generation, received_at, finding, found_at, report)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (cluster, node) DO UPDATE SET
                instance = excluded.instance, former = excluded.former, generation = excluded.generation,
                received_at = excluded.received_at, finding = excluded.finding, found_at = excluded.found_at,
                report = excluded.report
                """,
            arguments: [
                identity.cluster, identity.node, order.instance,
                String(decoding: try JSONEncoder.plane.encode(order.former), as: UTF8.self), order.generation, now,
                finding?.rawValue ?? before, finding == nil ? beforeAt : now, Data(bytes),
            ])
    }

    static func last(of node: String, in cluster: String, _ database: Database) throws -> Last? {
        let row = try Row.fetchOne(
            database, sql: "SELECT * FROM observed WHERE cluster = ? AND node = ?", arguments: [cluster, node])
        guard let row else { return nil }
        let bytes: Data = row["report"]
        let finding: String? = row["finding"]
        return Last(
            report: try JSONDecoder().decode(ObservedState.self, from: bytes), receivedAt: row["received_at"],
            finding: finding.flatMap(ReportOrderStateMachine.Finding.init), foundAt: row["found_at"])
    }

    private static func event(
        _ finding: ReportOrderStateMachine.Finding, _ report: ObservedState, _ identity: NodeIdentity
    ) -> PlaneEvent {
        let words =
            switch finding {
            case .setBack: "its state folder was set back"
            case .cloned: "two agents report under its identity"
            }
        return PlaneEvent(
            name: "node.\(finding.rawValue)", actor: identity.actor, cluster: identity.cluster, node: identity.node,
            detail: "\(words): instance \(report.instance), boot \(report.boot), report \(report.generation)")
    }

    private static func list(_ json: String) throws -> [String] {
        try JSONDecoder().decode([String].self, from: Data(json.utf8))
    }
}

extension ObservedReports.Last {
    /// While it is worth a look.
    func finding(at now: Int64) -> ReportOrderStateMachine.Finding? {
        guard let foundAt, now - foundAt < ObservedReports.findingLifetime else { return nil }
        return finding
    }
}
