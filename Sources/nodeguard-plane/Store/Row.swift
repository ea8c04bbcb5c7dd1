/// One row of an answer.
struct Row: Sendable {
    let columns: [String]
    let values: [DatabaseValue]

    /// The schema gives each column its type, so another one here is a mistake of ours.
    subscript<Value: DatabaseValueConvertible>(_ column: String) -> Value {
        guard let index = columns.firstIndex(of: column) else {
            preconditionFailure("an answer with the columns \(columns) has no column \(column)")
        }
        guard let value = Value.fromDatabaseValue(values[index]) else {
            preconditionFailure("the column \(column) holds no \(Value.self)")
        }
        return value
    }
}

extension Row {
    static func fetchAll(_ database: Database, sql: String, arguments: StatementArguments = []) throws -> [Row] {
        try database.session.rows(sql, arguments.values)
    }

    static func fetchOne(_ database: Database, sql: String, arguments: StatementArguments = []) throws -> Row? {
        try database.session.firstRow(sql, arguments.values)
    }

    /// For answers of any length; ends with the transaction.
    static func fetchCursor(
        _ database: Database, sql: String, arguments: StatementArguments = []
    ) throws -> RowCursor {
        RowCursor(take: try database.session.cursor(sql, arguments.values))
    }
}

struct RowCursor {
    fileprivate let take: () throws -> Row?

    func next() throws -> Row? { try take() }
}

/// The first column of each row.
struct ValueCursor<Value: DatabaseValueConvertible> {
    fileprivate let rows: RowCursor

    func next() throws -> Value? { try rows.next().map { try Value.first(of: $0) } }
}

extension DatabaseValueConvertible {
    static func fetchAll(_ database: Database, sql: String, arguments: StatementArguments = []) throws -> [Self] {
        try Row.fetchAll(database, sql: sql, arguments: arguments).map { try first(of: $0) }
    }

    /// nil: there is no row, or its value is null.
    static func fetchOne(_ database: Database, sql: String, arguments: StatementArguments = []) throws -> Self? {
        guard let row = try Row.fetchOne(database, sql: sql, arguments: arguments), row.values.first != .null else {
            return nil
        }
        return try first(of: row)
    }

    static func fetchCursor(
        _ database: Database, sql: String, arguments: StatementArguments = []
    ) throws -> ValueCursor<Self> {
        ValueCursor(rows: try Row.fetchCursor(database, sql: sql, arguments: arguments))
    }

    fileprivate static func first(of row: Row) throws -> Self {
        guard let value = row.values.first.flatMap(fromDatabaseValue) else {
            throw StoreProblem.unexpectedValue(column: row.columns.first ?? "", type: "\(Self.self)")
        }
        return value
    }
}
