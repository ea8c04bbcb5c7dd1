import FoundationEssentials
import GRDB

/// The store in one file, through GRDB: one writer at a time, whichever process it is in, and readers beside it (WAL).
struct SQLiteStore: StoreBackEnd {
    private let pool: DatabasePool

    init(path: String) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.maximumReaderCount = 4
        pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB sets NORMAL in WAL mode, which may lose the last commits at a power cut; a batch is acknowledged
        // only when it is durable.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    }

    func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try pool.read { try body(Database(SQLiteSession($0))) }
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await pool.read { try body(Database(SQLiteSession($0))) }
    }

    func write<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try pool.write { try body(Database(SQLiteSession($0))) }
    }

    func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await pool.write { try body(Database(SQLiteSession($0))) }
    }

    func migrate(_ migrations: [DatabaseMigrator.Migration]) throws {
        var migrator = GRDB.DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration(migration.name) { try migration.migrate(Database(SQLiteSession($0))) }
        }
        try migrator.migrate(pool)
    }
}

private final class SQLiteSession: DatabaseSession {
    private let database: GRDB.Database

    init(_ database: GRDB.Database) { self.database = database }

    var dialect: Dialect { .sqlite }
    var changesCount: Int { database.changesCount }

    func execute(_ sql: String, _ arguments: [DatabaseValue]) throws {
        try database.execute(sql: sql, arguments: Self.arguments(arguments))
    }

    func rows(_ sql: String, _ arguments: [DatabaseValue]) throws -> [Row] {
        let next = try cursor(sql, arguments)
        var rows: [Row] = []
        while let row = try next() { rows.append(row) }
        return rows
    }

    func firstRow(_ sql: String, _ arguments: [DatabaseValue]) throws -> Row? {
        try GRDB.Row.fetchOne(database, sql: sql, arguments: Self.arguments(arguments)).map {
            try Self.row($0, columns: Array($0.columnNames))
        }
    }

    func cursor(_ sql: String, _ arguments: [DatabaseValue]) throws -> () throws -> Row? {
        let cursor = try GRDB.Row.fetchCursor(database, sql: sql, arguments: Self.arguments(arguments))
        var columns: [String]?
        return {
            guard let row = try cursor.next() else { return nil }
            let names = columns ?? Array(row.columnNames)
            columns = names
            return try Self.row(row, columns: names)
        }
    }

    func statement(_ sql: String) throws -> ([DatabaseValue]) throws -> Void {
        let statement = try database.cachedStatement(sql: sql)
        return { try statement.execute(arguments: Self.arguments($0)) }
    }

    private static func arguments(_ values: [DatabaseValue]) -> GRDB.StatementArguments {
        GRDB.StatementArguments(
            values.map { value -> (any GRDB.DatabaseValueConvertible)? in
                switch value {
                case .null: nil
                case .integer(let number): number
                case .text(let text): text
                case .blob(let bytes): bytes
                }
            })
    }

    private static func row(_ row: GRDB.Row, columns: [String]) throws -> Row {
        let values = try row.enumerated().map { index, column -> DatabaseValue in
            switch column.1.storage {
            case .null: .null
            case .int64(let number): .integer(number)
            case .string(let text): .text(text)
            case .blob(let bytes): .blob(bytes)
            case .double: throw StoreProblem.unexpectedValue(column: columns[index], type: "whole number")
            }
        }
        return Row(columns: columns, values: values)
    }
}
