import GRDB
import OpenSSL
import Reports

/// Makes room in a spool that is full, inside the transaction that filled it: what the plane has goes first, then the
/// oldest events that are neither security events nor ever offered to the plane. Each run of dropped events keeps its
/// numbers and becomes one row: an `audit.gap` event for each number, so that the log has no hole.
///
/// A row that holds others as well is written anew without them. Rows of one class each would spare that, but a commit
/// is one row, and what is dropped is dropped an eighth of the spool at a time.
struct SpoolRelief {
    let limits: SpoolLimits
    let time: Timestamp
    private(set) var dropped: [AuditClass: UInt64] = [:]
    /// Nothing that was acknowledged is stored any more.
    private(set) var hasForgotten = false

    private struct Run {
        var first: Int64
        var last: Int64
        var bytes: Int64 = 0
        var usage: Int64 = 0
        var dropped: [AuditClass: UInt64] = [:]

        init(first: Int64) {
            self.first = first
            last = first - 1
        }

        /// Runs that are one already.
        mutating func add(gap row: SpoolRow) {
            last = row.last
            usage += row.usage
            bytes += row.droppedBytes
        }

        mutating func add(_ entry: SpoolRow.Entry) {
            let size = SpoolRelief.usage(of: entry)
            last = entry.seq
            usage += size
            bytes += size
            dropped[entry.auditClass, default: 0] += 1
        }
    }

    /// What the row of a gap takes, about; a run that is hardly longer stays as it is.
    private static let gapUsage: Int64 = 512

    private static func usage(of entry: SpoolRow.Entry) -> Int64 { Int64(entry.line.count + SpoolRun.headerSize) }

    init(_ limits: SpoolLimits, at time: Timestamp) {
        self.limits = limits
        self.time = time
    }

    /// Deletes what the plane has.
    mutating func forget(_ state: inout SpoolState, _ database: Database) throws {
        if hasForgotten { return }
        state.usage -= try Self.deleteRows(through: state.acknowledged, database)
        hasForgotten = true
    }

    mutating func relieve(_ state: inout SpoolState, _ database: Database) throws {
        try forget(&state, database)
        let droppable = limits.policies.droppable
        let excess = state.usage - limits.target
        guard state.usage > limits.ceiling, !droppable.isEmpty else { return }
        let runs = try findRuns(state, droppable, excess, database)
        guard !runs.isEmpty else { return }
        try replace(runs, &state, database)
        for run in runs { dropped.merge(run.dropped, uniquingKeysWith: +) }
        try rebuildTree(&state, database)
    }

    /// Whole rows only. Returns how many bytes that freed.
    static func deleteRows(through last: Int64, _ database: Database) throws -> Int64 {
        let freed = try Int64.fetchOne(
            database, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM runs WHERE first <= ?1 AND last <= ?1",
            arguments: [last])
        try database.execute(sql: "DELETE FROM runs WHERE first <= ?1 AND last <= ?1", arguments: [last])
        return freed ?? 0
    }

    private func findRuns(
        _ state: SpoolState, _ droppable: AuditClasses, _ excess: Int64, _ database: Database
    ) throws -> [Run] {
        var runs: [Run] = []
        var freed: Int64 = 0
        func begin(_ seq: Int64) {
            if runs.last?.last == seq - 1 { return }
            runs.append(Run(first: seq))
            freed -= Self.gapUsage
        }
        // A batch that was signed may have arrived: it stays as it is.
        let rows = try SpoolRow.cursor(from: max(state.offered, state.acknowledged) + 1, database)
        while freed < excess, let next = try rows.next() {
            let row = try SpoolRow(next)
            if row.isGap {
                guard row.first > state.offered else { continue }
                begin(row.first)
                runs[runs.count - 1].add(gap: row)
                freed += row.usage
            } else if !row.classes.isDisjoint(with: droppable) {
                try row.forEachEntry { entry in
                    guard entry.seq > state.offered, droppable.contains(AuditClasses(entry.auditClass)) else {
                        return true
                    }
                    begin(entry.seq)
                    runs[runs.count - 1].add(entry)
                    freed += Self.usage(of: entry)
                    return freed < excess
                }
            }
        }
        return runs.filter { $0.usage > 2 * Self.gapUsage }
    }

    private func replace(_ runs: [Run], _ state: inout SpoolState, _ database: Database) throws {
        guard let first = runs.first?.first, let last = runs.last?.last else { return }
        var remaining = runs[...]
        var position = first
        while position <= last, let row = try SpoolRow.find(position, database) {
            position = row.last + 1
            while let run = remaining.first, run.last < row.first { remaining.removeFirst() }
            guard let run = remaining.first, run.first <= row.last else { continue }
            try database.execute(sql: "DELETE FROM runs WHERE first = ?", arguments: [row.first])
            state.usage -= row.usage
            for piece in try pieces(of: row, without: remaining) {
                try piece.insert(database)
                state.usage += piece.usage
            }
        }
        for run in runs {
            let row = gap(run, state)
            try row.insert(database)
            state.usage += row.usage
        }
    }

    /// What is left of a row; of a gap nothing, for it is in a run as a whole.
    private func pieces(of row: SpoolRow, without runs: ArraySlice<Run>) throws -> [SpoolRow] {
        if row.isGap { return [] }
        var runs = runs
        var pieces: [SpoolRow] = []
        var piece = SpoolRun(first: row.first)
        try row.forEachEntry { entry in
            while let run = runs.first, run.last < entry.seq { runs.removeFirst() }
            if let run = runs.first, run.first <= entry.seq {
                if !piece.isEmpty { pieces.append(piece.row) }
                piece = SpoolRun(first: entry.seq + 1)
            } else {
                piece.append(entry.auditClass, time: row.time, line: entry.line)
            }
            return true
        }
        if !piece.isEmpty { pieces.append(piece.row) }
        return pieces
    }

    private func gap(_ run: Run, _ state: SpoolState) -> SpoolRow {
        let event = AuditEvent(
            .auditGap, .failure, at: time,
            fields: [
                "first": .integer(run.first), "last": .integer(run.last), "count": .integer(run.last - run.first + 1),
                "bytes": .integer(run.bytes), "reason": "spool-full",
            ])
        return SpoolRow(
            first: run.first, last: run.last, AuditClasses(event.name.auditClass), time: time.nanoseconds,
            droppedBytes: run.bytes, payload: AuditRecord(event, state.renderer).template)
    }

    /// What is dropped was never part of a checkpoint, so the tree over it may still change.
    private func rebuildTree(_ state: inout SpoolState, _ database: Database) throws {
        let digest = Digest.SHA256()
        var tree = state.shipped
        try SpoolRow.forEachLine(from: state.acknowledged + 1, through: state.last, database) { _, line in
            tree.append(line, with: digest)
            return true
        }
        state.tree = tree
    }
}
