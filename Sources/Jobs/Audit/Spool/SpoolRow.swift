import FoundationEssentials
import GRDB
import OpenSSL
import Reports

/// One stored event, or a run of dropped ones that share an `audit.gap` event each.
struct SpoolRow: Equatable, Sendable {
    let seq: Int64
    /// `seq`, but for a run.
    let last: Int64
    let auditClass: AuditClass
    /// Nanoseconds since 1970.
    let time: Int64
    /// Bytes that a run takes the place of; 0 for an event.
    let droppedBytes: Int64
    let template: [UInt8]

    /// What SQLite adds to a row, about.
    private static let overhead = 64

    static let tableSQL = """
        CREATE TABLE events (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, class INTEGER NOT NULL, \
        time INTEGER NOT NULL, dropped INTEGER NOT NULL, template BLOB NOT NULL, crc INTEGER NOT NULL) STRICT
        """
    static let usageSQL = "length(template) + \(overhead)"

    var usage: Int64 { Int64(template.count + Self.overhead) }
    var count: Int64 { last - seq + 1 }
    /// Runs are made by dropping; an `audit.gap` that tells of lost room in memory is an event like others.
    var isRun: Bool { droppedBytes > 0 }

    init(seq: Int64, last: Int64? = nil, droppedBytes: Int64 = 0, _ record: AuditRecord) {
        self.seq = seq
        self.last = last ?? seq
        auditClass = record.auditClass
        time = record.time.nanoseconds
        self.droppedBytes = droppedBytes
        template = record.template
    }

    init(_ row: Row) throws {
        seq = try row.decode(forColumn: "seq")
        last = try row.decode(forColumn: "last")
        time = try row.decode(forColumn: "time")
        droppedBytes = try row.decode(forColumn: "dropped")
        template = Array(try row.decode(Data.self, forColumn: "template"))
        guard let auditClass = AuditClass(rawValue: try row.decode(forColumn: "class")) else {
            throw SpoolError(.damaged, "event \(seq) has no class")
        }
        self.auditClass = auditClass
        guard last >= seq, try row.decode(Int64.self, forColumn: "crc") == Int64(checksum) else {
            throw SpoolError(.damaged, "the checksum of event \(seq) does not fit")
        }
    }

    func insert(_ database: Database) throws {
        try database.cachedStatement(sql: "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
            seq, last, auditClass.rawValue, time, droppedBytes, Data(template), Int64(checksum),
        ])
    }

    func line(seq: Int64) -> [UInt8] { AuditRecord.line(template, seq: seq) }

    private var checksum: UInt32 {
        let numbers = "\(seq) \(last) \(auditClass.rawValue) \(time) \(droppedBytes) "
        return Digest.crc32c(template, continuing: Digest.crc32c(Array(numbers.utf8)))
    }

    /// The rows from the one that holds `first` on, in order.
    static func cursor(from first: Int64, _ database: Database) throws -> RowCursor {
        try Row.fetchCursor(
            database,
            sql: """
                SELECT * FROM events WHERE seq >= coalesce((SELECT max(seq) FROM events WHERE seq <= ?1), ?1) \
                ORDER BY seq
                """,
            arguments: [first])
    }

    /// Calls `body` with each event's number and canonical text from `first` to `last`, until it returns false; a hole
    /// throws.
    static func forEachLine(
        from first: Int64, through last: Int64, _ database: Database, _ body: (Int64, [UInt8]) -> Bool
    ) throws {
        var expected = first
        let rows = try cursor(from: first, database)
        while expected <= last, let next = try rows.next() {
            let row = try SpoolRow(next)
            guard row.seq <= expected, row.last >= expected else { break }
            while expected <= min(row.last, last) {
                if !body(expected, row.line(seq: expected)) { return }
                expected += 1
            }
        }
        guard expected > last else { throw SpoolError(.damaged, "event \(expected) is missing") }
    }
}
