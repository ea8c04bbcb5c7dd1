import GRDB
import Reports

/// Makes room in a spool that is full, inside the transaction that filled it: what the plane has goes first, then the
/// oldest events that are neither security events nor ever offered to the plane. Each run of dropped events keeps its
/// numbers and becomes one row: an `audit.gap` event for each number, so that the log has no hole.
struct SpoolRelief {
    /// Room for an eighth is made at once, so that the tree is computed anew seldom.
    static func target(_ limit: Int64) -> Int64 { limit - limit / 8 }

    let limit: Int64
    let time: Timestamp
    private(set) var dropped: [AuditClass: UInt64] = [:]
    /// Nothing that was acknowledged is stored any more.
    private(set) var hasForgotten = false

    private struct Run {
        var first: Int64
        var last: Int64
        var bytes: Int64
        var usage: Int64
        var dropped: [AuditClass: UInt64] = [:]

        mutating func add(_ row: SpoolRow) {
            last = row.last
            usage += row.usage
            bytes += row.isRun ? row.droppedBytes : row.usage
            if !row.isRun { dropped[row.auditClass, default: 0] += 1 }
        }
    }

    /// What the row of a run takes, about; a run that is hardly longer stays as it is.
    private static let runUsage: Int64 = 512

    init(limit: Int64, at time: Timestamp) {
        self.limit = limit
        self.time = time
    }

    mutating func relieve(_ state: inout SpoolState, _ database: Database) throws {
        state.usage -= try Self.deleteRows(through: state.acknowledged, database)
        hasForgotten = true
        let excess = state.usage - Self.target(limit)
        guard state.usage > limit else { return }
        let runs = try findRuns(state, excess, database)
        guard !runs.isEmpty else { return }
        for run in runs {
            try replace(run, &state, database)
            dropped.merge(run.dropped, uniquingKeysWith: +)
        }
        try rebuildTree(&state, database)
    }

    /// Returns how many bytes that freed.
    static func deleteRows(through last: Int64, _ database: Database) throws -> Int64 {
        let freed = try Int64.fetchOne(
            database, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM events WHERE seq <= ?1 AND last <= ?1",
            arguments: [last])
        try database.execute(sql: "DELETE FROM events WHERE seq <= ?1 AND last <= ?1", arguments: [last])
        return freed ?? 0
    }

    private func findRuns(_ state: SpoolState, _ excess: Int64, _ database: Database) throws -> [Run] {
        var runs: [Run] = []
        var freed: Int64 = 0
        let rows = try SpoolRow.cursor(from: max(state.offered, state.acknowledged) + 1, database)
        while freed < excess, let next = try rows.next() {
            let row = try SpoolRow(next)
            // A batch that was signed may have arrived: it stays as it is.
            guard row.seq > state.offered, row.isRun || row.auditClass != .security else { continue }
            if runs.last?.last != row.seq - 1 {
                runs.append(Run(first: row.seq, last: row.last, bytes: 0, usage: 0))
                freed -= Self.runUsage
            }
            runs[runs.count - 1].add(row)
            freed += row.usage
        }
        return runs.filter { $0.usage > 2 * Self.runUsage }
    }

    private func replace(_ run: Run, _ state: inout SpoolState, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM events WHERE seq BETWEEN ? AND ?", arguments: [run.first, run.last])
        let event = AuditEvent(
            .auditGap, .failure, at: time,
            fields: [
                "first": .integer(run.first), "last": .integer(run.last), "count": .integer(run.last - run.first + 1),
                "bytes": .integer(run.bytes), "reason": "spool-full",
            ])
        let row = SpoolRow(
            seq: run.first, last: run.last, droppedBytes: run.bytes,
            AuditRecord(event, place: state.place, boot: state.boot))
        try row.insert(database)
        state.usage += row.usage - run.usage
    }

    /// What is dropped was never part of a checkpoint, so the tree over it may still change.
    private func rebuildTree(_ state: inout SpoolState, _ database: Database) throws {
        var tree = state.shipped
        try SpoolRow.forEachLine(from: state.acknowledged + 1, through: state.last, database) { _, line in
            tree.append(line)
            return true
        }
        state.tree = tree
    }
}
