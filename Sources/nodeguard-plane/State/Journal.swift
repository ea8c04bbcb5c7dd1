import GRDB

/// The plane's own record of what it granted and refused: who, what, outcome, reason. Never a secret. Bounded.
enum Journal {
    static let limit = 100_000

    struct Entry: Sendable {
        var cluster: String?
        var node: String?
        let action: String
        let outcome: Outcome
        var reason: String?
        let detail: String
    }

    enum Outcome: String { case granted, refused }

    static func record(_ entry: Entry, now: Int64, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO journal (at, cluster, node, action, outcome, reason, detail) VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                now, entry.cluster, entry.node, entry.action, entry.outcome.rawValue, entry.reason,
                String(entry.detail.prefix(1000)),
            ])
    }

    static func trim(_ database: Database) throws {
        try database.execute(
            sql: "DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?", arguments: [limit])
    }
}
