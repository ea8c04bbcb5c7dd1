import FoundationEssentials
import GRDB
import OpenSSL

/// Brings a spool of format 1, in which each event was a row, into the form of now. Some at a time, each step one
/// transaction and each event in one of both tables: it may be cut short anywhere, goes on where it was, and needs
/// little room beside the spool.
enum SpoolMigration {
    static let oldFormat: Int64 = 1
    static let oldTable = """
        CREATE TABLE events (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, class INTEGER NOT NULL, \
        time INTEGER NOT NULL, dropped INTEGER NOT NULL, template BLOB NOT NULL, crc INTEGER NOT NULL) STRICT
        """
    /// Whether these are the tables of a spool of format 1, untouched or on the way.
    static func isOld(_ tables: [String]) -> Bool {
        tables == [oldTable, SpoolState.tableSQL] || tables == [oldTable, SpoolRow.tableSQL, SpoolState.tableSQL]
    }

    /// Of the texts that a step moves.
    private static let stepSize = 1 << 20

    /// An event of format 1, or a run of dropped ones.
    private struct Old {
        let seq: Int64
        let last: Int64
        let auditClass: AuditClass
        let time: Int64
        let dropped: Int64
        let template: [UInt8]

        init(_ row: Row) throws {
            seq = try row.decode(forColumn: "seq")
            last = try row.decode(forColumn: "last")
            time = try row.decode(forColumn: "time")
            dropped = try row.decode(forColumn: "dropped")
            template = Array(try row.decode(Data.self, forColumn: "template"))
            guard let auditClass = AuditClass(rawValue: try row.decode(forColumn: "class")) else {
                throw SpoolError(.damaged, "event \(seq) has no class")
            }
            self.auditClass = auditClass
            let numbers = "\(seq) \(last) \(auditClass.rawValue) \(time) \(dropped) "
            let checksum = Digest.crc32c(template, continuing: Digest.crc32c(Array(numbers.utf8)))
            guard last >= seq, try row.decode(Int64.self, forColumn: "crc") == Int64(checksum) else {
                throw SpoolError(.damaged, "the checksum of event \(seq) does not fit")
            }
        }

        var gap: SpoolRow {
            SpoolRow(
                first: seq, last: last, AuditClasses(auditClass), time: time, droppedBytes: dropped, payload: template)
        }
    }

    static func migrate(_ queue: DatabaseQueue, to format: Int64) throws {
        try queue.write { database in
            if try !database.tableExists("runs") { try database.execute(sql: SpoolRow.tableSQL) }
        }
        while try queue.write({ try moveSome($0) }) {}
        try queue.write { database in
            var state = try SpoolState.load(database)
            state.usage = try Int64.fetchOne(database, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM runs") ?? 0
            try state.store(database)
            try database.execute(sql: "DROP TABLE events")
            try database.execute(sql: "PRAGMA user_version = \(format)")
        }
    }

    /// False when there was nothing left.
    static func moveSome(_ database: Database) throws -> Bool {
        var run: SpoolRun?
        var size = 0
        var moved: Int64?
        func store() throws {
            if let run, !run.isEmpty { try run.row.insert(database) }
            run = nil
        }
        let rows = try Row.fetchCursor(database, sql: "SELECT * FROM events ORDER BY seq")
        while size < stepSize, let next = try rows.next() {
            let old = try Old(next)
            moved = old.seq
            size += old.template.count
            // A hole stays one; whoever reads over it finds it.
            if old.dropped > 0 || run.map({ $0.last + 1 }) != old.seq { try store() }
            if old.dropped > 0 {
                try old.gap.insert(database)
                continue
            }
            var current = run ?? SpoolRun(first: old.seq)
            run = nil
            current.append(old.auditClass, time: old.time, line: AuditRecord.line(old.template, seq: old.seq)[...])
            run = current
        }
        try store()
        guard let moved else { return false }
        try database.execute(sql: "DELETE FROM events WHERE seq <= ?", arguments: [moved])
        return true
    }
}
