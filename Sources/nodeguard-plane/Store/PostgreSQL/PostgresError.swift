/// What PostgreSQL or libpq says went wrong; never with the values of a row.
struct PostgresError: Error, Equatable, CustomStringConvertible {
    /// SQLSTATE; nil: the connection failed, not a statement.
    let state: String?
    let message: String

    var description: String { state.map { "\(message) (SQLSTATE \($0))" } ?? message }

    static func lost(_ message: String) -> PostgresError { PostgresError(state: nil, message: line(message)) }

    /// libpq's messages have lines.
    static func line(_ message: String) -> String {
        message.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix { $0 == " " || $0 == "\t" } }
            .joined(separator: "; ")
    }

    /// The transaction did not happen, through nobody's fault, and may be done again: it met another (40001, 40P01),
    /// or tables were changed under a prepared statement (0A000, 26000).
    var isConflict: Bool { ["40001", "40P01", "0A000", "26000"].contains(state) }

    /// The session is over: the network, or a server that ends (57P01 to 57P03), or that ended the session (25P03).
    var isLoss: Bool { state == nil || state?.hasPrefix("08") == true || endings.contains(state ?? "") }

    private var endings: [String] { ["57P01", "57P02", "57P03", "25P03", "0A000", "26000"] }
}
