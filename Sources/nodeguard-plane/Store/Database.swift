/// The store within one transaction, which sees one state of it. The spelling is GRDB's, the store either SQLite or
/// PostgreSQL: statements are written so that both understand them.
final class Database {
    let session: any DatabaseSession

    init(_ session: any DatabaseSession) { self.session = session }

    var dialect: Dialect { session.dialect }

    /// How many rows the last statement changed.
    var changesCount: Int { session.changesCount }

    /// Without arguments also several statements, each with its semicolon.
    func execute(sql: String, arguments: StatementArguments = []) throws {
        try session.execute(sql, arguments.values)
    }

    /// For one that is executed many times.
    func cachedStatement(sql: String) throws -> Statement {
        Statement(execute: try session.statement(sql))
    }
}

/// Where the two stores' SQL must differ: in schemas.
enum Dialect: Sendable { case sqlite, postgresql }

struct Statement {
    fileprivate let execute: ([DatabaseValue]) throws -> Void

    func execute(arguments: StatementArguments) throws { try execute(arguments.values) }
}

/// One transaction of one store.
protocol DatabaseSession: AnyObject {
    var dialect: Dialect { get }
    var changesCount: Int { get }
    func execute(_ sql: String, _ arguments: [DatabaseValue]) throws
    func rows(_ sql: String, _ arguments: [DatabaseValue]) throws -> [Row]
    func firstRow(_ sql: String, _ arguments: [DatabaseValue]) throws -> Row?
    /// The next row at each call; nil: there is none any more.
    func cursor(_ sql: String, _ arguments: [DatabaseValue]) throws -> () throws -> Row?
    func statement(_ sql: String) throws -> ([DatabaseValue]) throws -> Void
}

/// The store is there, but not what was expected of it.
enum StoreProblem: Error, CustomStringConvertible, Equatable {
    case unexpectedValue(column: String, type: String)
    /// A text with a NUL character.
    case unstorableText
    /// It may be tried again.
    case unavailable(String)
    case damaged(String)

    var description: String {
        switch self {
        case .unstorableText: "a text with a NUL character cannot be stored"
        case .unavailable(let what): what
        case .damaged(let what): "the store is damaged: \(what)"
        case .unexpectedValue(let column, let type): "the store's column \(column) holds no \(type)"
        }
    }
}
