/// Where something stands in the configuration file; both count from 1, columns in Unicode scalars.
struct Position: Hashable, Comparable, Sendable {
    let line: Int
    let column: Int

    static let start = Position(line: 1, column: 1)

    static func < (left: Position, right: Position) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One thing that is wrong in the configuration file, and where.
struct ConfigurationMistake: Hashable, Sendable {
    let position: Position
    let text: String
}

/// A configuration that cannot be used, with all that is wrong in it: one line a mistake, `file:line:column: text`.
struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    let path: String
    /// In the order of the file; at least one.
    let mistakes: [ConfigurationMistake]

    var description: String {
        mistakes.map { "\(path):\($0.position.line):\($0.position.column): \($0.text)" }.joined(separator: "\n")
    }
}

/// Why a scalar cannot be what it is meant to be. The reader adds the place.
struct Flaw: Error, Equatable {
    let text: String

    init(_ text: String) { self.text = text }
}
