import FoundationEssentials
import GRDB
import OpenSSL
import Reports

/// What one commit stored: a run of events, in one sealed blob. Or a run of events that were dropped: an `audit.gap`
/// event under each of their numbers, which is stored once.
struct SpoolRow: Equatable, Sendable {
    let first: Int64
    let last: Int64
    /// Of the events in it.
    let classes: AuditClasses
    /// Of the first event; nanoseconds since 1970.
    let time: Int64
    /// Bytes that a run of dropped events takes the place of; 0 for events.
    let droppedBytes: Int64
    /// Events, as `SpoolRun` writes them; or the record of the gap.
    let payload: [UInt8]

    /// What SQLite adds to a row, about.
    static let overhead = 64

    static let tableSQL = """
        CREATE TABLE runs (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, classes INTEGER NOT NULL, \
        time INTEGER NOT NULL, dropped INTEGER NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL) STRICT
        """
    static let usageSQL = "length(payload) + \(overhead)"

    var usage: Int64 { Int64(payload.count + Self.overhead) }
    /// Gaps are made by dropping; an `audit.gap` that tells of lost room in memory is an event like others.
    var isGap: Bool { droppedBytes > 0 }

    init(first: Int64, last: Int64, _ classes: AuditClasses, time: Int64, droppedBytes: Int64 = 0, payload: [UInt8]) {
        self.first = first
        self.last = last
        self.classes = classes
        self.time = time
        self.droppedBytes = droppedBytes
        self.payload = payload
    }

    init(_ row: Row) throws {
        first = try row.decode(forColumn: "first")
        last = try row.decode(forColumn: "last")
        classes = AuditClasses(rawValue: try row.decode(forColumn: "classes"))
        time = try row.decode(forColumn: "time")
        droppedBytes = try row.decode(forColumn: "dropped")
        payload = Array(try row.decode(Data.self, forColumn: "payload"))
        guard last >= first, try row.decode(Int64.self, forColumn: "crc") == Int64(checksum) else {
            throw SpoolError(.damaged, "the checksum of the events from \(first) on does not fit")
        }
    }

    func insert(_ database: Database) throws {
        try database.cachedStatement(sql: "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
            first, last, classes.rawValue, time, droppedBytes, Data(payload), Int64(checksum),
        ])
    }

    private var checksum: UInt32 {
        let numbers = "\(first) \(last) \(classes.rawValue) \(time) \(droppedBytes) "
        return Digest.crc32c(payload, continuing: Digest.crc32c(Array(numbers.utf8)))
    }

    // MARK: Events

    struct Entry {
        let seq: Int64
        let auditClass: AuditClass
        /// The canonical text.
        let line: ArraySlice<UInt8>
    }

    /// Calls `body` with each event, until it returns false.
    func forEachEntry(_ body: (Entry) throws -> Bool) throws {
        if isGap {
            for seq in first...last {
                let line = AuditRecord.line(payload, seq: seq)
                guard try body(Entry(seq: seq, auditClass: .security, line: line[...])) else { return }
            }
            return
        }
        var events = SpoolRun.Reader(payload)
        for seq in first...last {
            guard let (auditClass, line) = events.next() else { throw misshapen }
            guard try body(Entry(seq: seq, auditClass: auditClass, line: line)) else { return }
        }
        guard events.isAtEnd else { throw misshapen }
    }

    private var misshapen: SpoolError { SpoolError(.damaged, "the events from \(first) to \(last) are not that many") }

    private static let fromSQL = """
        SELECT * FROM runs WHERE first >= coalesce((SELECT max(first) FROM runs WHERE first <= ?1), ?1) ORDER BY first
        """

    /// The rows from the one that holds `seq` on, in order.
    static func cursor(from seq: Int64, _ database: Database) throws -> RowCursor {
        try Row.fetchCursor(database, sql: fromSQL, arguments: [seq])
    }

    /// The row that holds `seq`, or the next one.
    static func find(_ seq: Int64, _ database: Database) throws -> SpoolRow? {
        try Row.fetchOne(database, sql: fromSQL + " LIMIT 1", arguments: [seq]).map { try SpoolRow($0) }
    }

    /// Calls `body` with each event's number and canonical text from `first` to `last`, until it returns false; a hole
    /// throws.
    static func forEachLine(
        from first: Int64, through last: Int64, _ database: Database, _ body: (Int64, ArraySlice<UInt8>) -> Bool
    ) throws {
        var expected = first
        var wantsMore = true
        let rows = try cursor(from: first, database)
        while wantsMore, expected <= last, let next = try rows.next() {
            let row = try SpoolRow(next)
            guard row.first <= expected, row.last >= expected else { break }
            try row.forEachEntry { entry in
                guard entry.seq >= expected else { return true }
                guard entry.seq <= last else { return false }
                wantsMore = body(entry.seq, entry.line)
                if wantsMore { expected += 1 }
                return wantsMore
            }
        }
        guard !wantsMore || expected > last else { throw SpoolError(.damaged, "event \(expected) is missing") }
    }
}
