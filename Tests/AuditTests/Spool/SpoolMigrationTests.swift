import Foundation
import GRDB
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Audit

/// Each event was a row; written here as that code wrote it.
@Suite struct `A spool of format 1` {
    private static let count = 5000
    private static let acknowledged = 100
    private static let gap = 1201...1500

    private let scenery: SpoolScenery
    /// What waits for the plane.
    private let lines: [String]

    init() throws {
        scenery = try SpoolScenery()
        try scenery.create().close()
        let queue = try DatabaseQueue(path: scenery.files.database)
        lines = try queue.write { try Self.write($0) }
        try queue.close()
    }

    private static func write(_ database: Database) throws -> [String] {
        var state = try SpoolState.load(database)
        try database.execute(sql: "DROP TABLE runs")
        try database.execute(
            sql: """
                CREATE TABLE events (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, class INTEGER NOT NULL, \
                time INTEGER NOT NULL, dropped INTEGER NOT NULL, template BLOB NOT NULL, crc INTEGER NOT NULL) STRICT
                """)
        var lines: [String] = []
        var seq = 1
        while seq <= count {
            let isGap = seq == gap.lowerBound
            let last = isGap ? gap.upperBound : seq
            let name = isGap ? AuditEventName.auditGap : seq % 7 == 0 ? .controlCall : .cancelDropped
            let event = event(seq, name)
            let template = AuditRecord(event, state.renderer).template
            let auditClass = event.name.auditClass.rawValue
            let dropped = isGap ? 90_000 : 0
            let numbers = "\(seq) \(last) \(auditClass) \(event.time.nanoseconds) \(dropped) "
            try database.execute(
                sql: "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                arguments: [
                    seq, last, auditClass, event.time.nanoseconds, dropped, Data(template),
                    Int64(Digest.crc32c(template, continuing: Digest.crc32c(Array(numbers.utf8)))),
                ])
            for number in seq...last {
                let line = AuditRecord.line(template, seq: Int64(number))
                state.tree.append(line)
                if number <= acknowledged { state.shipped.append(line) }
                lines.append(String(decoding: line, as: UTF8.self))
            }
            state.usage += Int64(template.count + 64)
            seq = last + 1
        }
        state.offered = state.acknowledged
        try state.store(database)
        try database.execute(sql: "PRAGMA user_version = 1")
        return Array(lines.dropFirst(acknowledged))
    }

    private func check(_ store: SpoolStore) throws {
        #expect(store.state.acknowledged == Self.acknowledged && store.state.last == Self.count)
        #expect(try store.lines(from: Int64(Self.acknowledged) + 1) == lines)
        #expect(try store.state.usage == store.storedUsage())
        #expect(try store.tail(1) == [try #require(lines.last)])
        _ = try store.append([event(6000)], at: .now)
        #expect(try store.lines(from: Int64(Self.count) + 1).compactMap { field($0, "number") } == [6000])
    }

    @Test func `is continued in the form of now, and loses no event`() throws {
        let store = try scenery.open()
        try check(store)
        try store.endCleanly()
        let again = try scenery.open()
        #expect(again.state.last == Self.count + 1)
        again.close()
        let queue = try DatabaseQueue(path: scenery.files.database)
        let (format, rows, tables) = try queue.read { database in
            (
                try Int.fetchOne(database, sql: "PRAGMA user_version"),
                try Int.fetchOne(database, sql: "SELECT count(*) FROM runs"),
                try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema ORDER BY name")
            )
        }
        #expect(format == 2 && tables == ["runs", "state"])
        // A step is one row; so are what stands before the gap, the gap, and the new event.
        #expect(try #require(rows) < 12)
    }

    @Test func `goes on after each step at which it was cut short`() throws {
        var steps = 0
        var isDone = false
        while !isDone {
            let queue = try DatabaseQueue(path: scenery.files.database)
            isDone = try queue.write { database in
                if steps == 0 { try database.execute(sql: SpoolRow.tableSQL) }
                return try !SpoolMigration.moveSome(database)
            }
            try queue.close()
            let image = try scenery.image()
            try check(try image.open())
            steps += 1
        }
        #expect(steps > 1)
    }

    @Test func `is put aside if an event was changed, and so is one of a later format`() throws {
        for change in [
            "UPDATE events SET template = zeroblob(length(template)) WHERE seq = 2000",
            "UPDATE events SET time = time + 1 WHERE seq = 2000", "UPDATE events SET class = 9 WHERE seq = 2000",
            "PRAGMA user_version = 3", "PRAGMA user_version = 0", "CREATE TABLE more (id INTEGER)",
        ] {
            let image = try scenery.image()
            let queue = try DatabaseQueue(path: image.files.database)
            try queue.write { try $0.execute(sql: change) }
            try queue.close()
            let error = #expect(throws: SpoolError.self) { _ = try image.open() }
            #expect(error?.kind == .damaged, "\(change)")
        }
    }
}
