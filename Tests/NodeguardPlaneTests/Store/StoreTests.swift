import Foundation
import Synchronization
import TestSupport
import Testing

@testable import nodeguard_plane

/// SQLite and PostgreSQL, each with an empty store of its own.
@Suite struct `Either store` {
    enum Kind: String, CaseIterable { case sqlite, postgresql }

    private let folder: TemporaryDirectory

    init() throws { folder = try temporaryDirectory() }

    private func address() throws -> PostgresAddress {
        try PostgresAddress(DatabaseServer.shared.get().makeDatabase())
    }

    private func makeStore(_ kind: Kind, schema: Bool = false) throws -> PlaneStore {
        let store: PlaneStore =
            switch kind {
            case .sqlite: try .sqlite(path: folder.file("store.sqlite"))
            case .postgresql: .postgresql(try address())
            }
        var migrator = schema ? PlaneSchema.migrator : DatabaseMigrator()
        migrator.registerMigration("test") {
            try $0.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER, text TEXT, bytes BLOB);")
        }
        try migrator.migrate(store)
        try migrator.migrate(store)
        return store
    }

    private static let insert = "INSERT INTO t (number, text, bytes) VALUES (?, ?, ?)"

    @Test(arguments: Kind.allCases)
    func `gives back what was put into it`(kind: Kind) throws {
        let store = try makeStore(kind)
        let texts = ["", "é\u{1F600}'\"?$1\\", "NULL"]
        let numbers = [Int64.min, -1, 0, 1, Int64.max]
        let bytes = [Data(), Data([0, 255, 0]), Data((0...255).map { UInt8($0) })]
        try store.write { database in
            for index in 0..<5 {
                let (text, data) = (texts[index % 3], bytes[index % 3])
                try database.execute(sql: Self.insert, arguments: [numbers[index], text, data])
                #expect(database.changesCount == 1)
            }
            try database.execute(sql: Self.insert, arguments: [nil, nil, nil])
        }
        try store.read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT * FROM t ORDER BY id")
            #expect(rows.map { $0["id"] } == [1, 2, 3, 4, 5, 6] as [Int64])
            #expect(rows.map { $0["number"] as Int64? } == numbers + [nil])
            #expect(rows.map { $0["text"] as String? } == [texts[0], texts[1], texts[2], texts[0], texts[1], nil])
            #expect(rows.map { $0["bytes"] as Data? } == [bytes[0], bytes[1], bytes[2], bytes[0], bytes[1], nil])
            let found = try Int64.fetchAll(
                database, sql: "SELECT id FROM t WHERE text = ?1 OR (?2 IS NULL AND bytes = ?3)",
                arguments: ["", nil, bytes[2]])
            #expect(found == [1, 3, 4])
            #expect(try Int64.fetchOne(database, sql: "SELECT sum(id) FROM t") == 21)
            #expect(try Int.fetchOne(database, sql: "SELECT max(number) FROM t WHERE id > 6") == nil)
            #expect(try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM t WHERE id = 6)") == true)
            #expect(throws: StoreProblem.unexpectedValue(column: "text", type: "Int64")) {
                try Int64.fetchOne(database, sql: "SELECT text FROM t WHERE id = 1")
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `orders texts by their bytes`(kind: Kind) throws {
        let store = try makeStore(kind)
        let words = ["B", "a", "Z", "é", "-", "b a", "ba"]
        try store.write { for word in words { try $0.execute(sql: Self.insert, arguments: [0, word, nil]) } }
        let sorted = try store.read { try String.fetchAll($0, sql: "SELECT text FROM t ORDER BY text") }
        #expect(sorted == words.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    @Test(arguments: Kind.allCases)
    func `does all of a decision or nothing`(kind: Kind) throws {
        struct Change: Error {}
        let store = try makeStore(kind)
        #expect(throws: Change.self) {
            try store.write {
                try $0.execute(sql: Self.insert, arguments: [1, nil, nil])
                throw Change()
            }
        }
        #expect(throws: (any Error).self) {
            try store.write {
                try $0.execute(sql: Self.insert, arguments: [1, nil, nil])
                try $0.execute(sql: "INSERT INTO t (id) VALUES (1), (1)")
            }
        }
        // A statement's failure that is swallowed does not commit half of it in PostgreSQL, which rolls back all.
        if kind == .postgresql {
            #expect(throws: StoreProblem.self) {
                try store.write {
                    try $0.execute(sql: Self.insert, arguments: [1, nil, nil])
                    _ = try? $0.execute(sql: "SELECT nothing")
                }
            }
        }
        #expect(throws: (any Error).self) { try store.read { try $0.execute(sql: "DELETE FROM t") } }
        #expect(try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 0)
    }

    @Test(arguments: Kind.allCases)
    func `lets writers go one after the other`(kind: Kind) async throws {
        let store = try makeStore(kind)
        let other: PlaneStore =
            switch kind {
            case .sqlite: try .sqlite(path: folder.file("store.sqlite"))
            case .postgresql: store
            }
        try await store.write { try $0.execute(sql: Self.insert, arguments: [0, nil, nil]) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<60 {
                group.addTask {
                    try await (index % 2 == 0 ? store : other).write { database in
                        let count = try Int64.fetchOne(database, sql: "SELECT number FROM t") ?? -1
                        try database.execute(sql: "UPDATE t SET number = ?", arguments: [count + 1])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.read { try Int64.fetchOne($0, sql: "SELECT number FROM t") } == 60)
    }

    @Test(arguments: Kind.allCases)
    func `reads what is long in pieces, of one moment`(kind: Kind) throws {
        let store = try makeStore(kind)
        let count = PostgresSession.pageSize * 2 + 1
        try store.write { database in
            let statement = try database.cachedStatement(sql: Self.insert)
            for index in 0..<count { try statement.execute(arguments: [index, nil, Data([1])]) }
        }
        try store.read { database in
            let rows = try Row.fetchCursor(database, sql: "SELECT * FROM t WHERE id > ? ORDER BY id", arguments: [0])
            let values = try Data.fetchCursor(database, sql: "SELECT bytes FROM t")
            try store.write { try $0.execute(sql: "DELETE FROM t") }
            var seen = 0
            while let row = try rows.next() {
                #expect(row["number"] == seen)
                seen += 1
                #expect(try values.next() == Data([1]))
            }
            #expect(try values.next() == nil)
            #expect(try rows.next() == nil)
            #expect(seen == count)
        }
    }

    @Test func `has the same tables and columns`() throws {
        let sqlite = try makeStore(.sqlite, schema: true).read { database in
            try String.fetchAll(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
                .filter { !$0.hasPrefix("sqlite_") }
                .flatMap { table in
                    try Row.fetchAll(database, sql: "PRAGMA table_info(\(table))").map { row in
                        let type: String = row["type"]
                        let (key, isRequired): (Int64, Int64) = (row["pk"], row["notnull"])
                        return "\(table).\(row["name"] as String) \(type) \(key > 0 || isRequired > 0)"
                    }
                }
        }
        let postgresql = try makeStore(.postgresql, schema: true).read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT table_name::text AS t, column_name::text AS c, data_type::text AS d, is_nullable::text AS n
                    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'write_turn'
                    ORDER BY table_name::text COLLATE "C", ordinal_position
                    """
            ).map { row in
                let type = ["bigint": "INTEGER", "bytea": "BLOB", "text": "TEXT"][row["d"] as String] ?? row["d"]
                return "\(row["t"] as String).\(row["c"] as String) \(type) \((row["n"] as String) == "NO")"
            }
        }
        #expect(sqlite.count > 60 && sqlite == postgresql)
    }

    @Test func `counts revocations whoever makes them`() throws {
        for kind in Kind.allCases {
            let store = try makeStore(kind, schema: true)
            let counts = try store.write { database in
                for serial in ["1", "2"] {
                    try database.execute(
                        sql: """
                            INSERT INTO certificates
                                (serial, fingerprint, kind, cluster, holder, not_before, not_after, der)
                            VALUES (?, ?, 'client', 'alpha', 'shop', 0, 0, ?)
                            """, arguments: [serial, Data(serial.utf8), Data()])
                }
                return try [1, 2, 3].map { time in
                    try database.execute(sql: "UPDATE certificates SET revoked_at = ?", arguments: [time])
                    return try Int.fetchOne(database, sql: "SELECT count FROM revocations WHERE cluster = 'alpha'")
                }
            }
            #expect(counts == [2, 2, 2], "\(kind)")
        }
    }

    @Test func `is never asked for a text with a NUL by a call`() throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let node = try TestNode(plane, "db-1")
        let answer = try node.enroll(token: "a\\u0000b.AAAA")
        #expect([400, 401].contains(answer.status))
        let list = try plane.call("GET", "/v1/clusters/al%00pha/crl")
        #expect([400, 404].contains(list.status), "\(list.status) \(list.text)")
        let key = try JSONEncoder().encode(["backup": "b"])
        #expect(try plane.call("POST", "/v1/keys", body: key).status == 401)
    }

    @Test func `refuses a text that PostgreSQL cannot hold`() throws {
        let store = try makeStore(.postgresql)
        #expect(throws: StoreProblem.unstorableText) {
            try store.read { try Int.fetchOne($0, sql: "SELECT id FROM t WHERE text = ?", arguments: ["a\0b"]) }
        }
    }

    @Test func `is made once by planes that start together`() async throws {
        let address = try address()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { try await offLoop { try PlaneSchema.migrator.migrate(.postgresql(address)) } }
            }
            try await group.waitForAll()
        }
        let turns = try await PlaneStore.postgresql(address).read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM write_turn").count
        }
        #expect(turns == 1)
    }
}
