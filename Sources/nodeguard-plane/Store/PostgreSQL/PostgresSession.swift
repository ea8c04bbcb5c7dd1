/// One transaction of PostgreSQL.
final class PostgresSession: DatabaseSession {
    private let connection: PostgresConnection
    private let isMigration: Bool
    private var cursors = 0
    private(set) var changesCount = 0

    static let pageSize = 500

    /// `isMigration`: schemas are read as those of SQLite.
    init(_ connection: PostgresConnection, isMigration: Bool = false) {
        self.connection = connection
        self.isMigration = isMigration
    }

    var dialect: Dialect { .postgresql }

    func execute(_ sql: String, _ arguments: [DatabaseValue]) throws {
        if arguments.isEmpty {
            changesCount = try connection.run(isMigration ? PostgresStatement.schema(sql) : sql).count
        } else {
            changesCount = try run(sql, arguments).count
        }
    }

    func rows(_ sql: String, _ arguments: [DatabaseValue]) throws -> [Row] {
        let answer = try run(sql, arguments)
        changesCount = answer.count
        return answer.rows.map { Row(columns: answer.columns, values: $0) }
    }

    func firstRow(_ sql: String, _ arguments: [DatabaseValue]) throws -> Row? { try rows(sql, arguments).first }

    func cursor(_ sql: String, _ arguments: [DatabaseValue]) throws -> () throws -> Row? {
        cursors += 1
        let name = "rows_\(cursors)"
        let query = try statement(sql, arguments)
        _ = try connection.runOnce(
            PostgresStatement(text: "DECLARE \(name) NO SCROLL CURSOR FOR \(query.text)", arguments: query.arguments))
        var page: ArraySlice<Row> = []
        var isLast = false
        return { [connection] in
            if page.isEmpty, !isLast {
                let answer = try connection.runOnce(
                    PostgresStatement(text: "FETCH \(Self.pageSize) FROM \(name)", arguments: []))
                page = answer.rows.map { Row(columns: answer.columns, values: $0) }[...]
                isLast = page.count < Self.pageSize
            }
            return page.popFirst()
        }
    }

    func statement(_ sql: String) throws -> ([DatabaseValue]) throws -> Void {
        { [self] in changesCount = try run(sql, $0).count }
    }

    private func run(_ sql: String, _ arguments: [DatabaseValue]) throws -> PostgresConnection.Answer {
        try connection.run(statement(sql, arguments))
    }

    /// SQLite keeps a NUL in a text, PostgreSQL has no such text: whoever sends one means nothing that is stored.
    private func statement(_ sql: String, _ arguments: [DatabaseValue]) throws -> PostgresStatement {
        for case .text(let text) in arguments where text.utf8.contains(0) { throw StoreProblem.unstorableText }
        return try PostgresStatement(sql, arguments)
    }
}
