import ArgumentParser
import FoundationEssentials
import PlaneAPI

/// `--state DIR` and `--database URL`, which every verb takes.
struct StateOption: ParsableArguments {
    @Option(name: .customLong("state"), help: "The plane's state folder.")
    var directory: String
    @Option(
        name: .customLong("database"),
        help: ArgumentHelp(
            "postgresql://USER@HOST/DATABASE instead of a file in the state folder; never with a password.",
            valueName: "url"))
    var database: String?

    /// Where the option is not said: a service's environment.
    static let variable = "NODEGUARD_PLANE_DATABASE"

    func open(creating: Bool = false, hsm: TokenAddress? = nil) throws -> PlaneState {
        try PlaneState.open(path, creating: creating, database: url.map { try PostgresAddress($0) }, hsm: hsm)
    }

    var path: String {
        var path = directory
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// Of a PostgreSQL database, where one is said.
    var url: String? { database ?? ProcessInfo.processInfo.environment[Self.variable] }
}

/// A length of time as `90s`, `15m`, `1h` or `30d`.
struct TimeSpan: ExpressibleByArgument, Equatable {
    let seconds: Int64

    init(seconds: Int64) { self.seconds = seconds }

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = Int64(argument.dropLast()),
            (1...36_500).contains(count) || (unit == 1 && count > 0 && count < 3_200_000_000)
        else { return nil }
        seconds = count * unit
    }

    var defaultValueDescription: String {
        for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] where seconds.isMultiple(of: Int64(unit)) {
            return "\(seconds / Int64(unit))\(name)"
        }
        return "\(seconds)s"
    }
}

/// Lines in columns, as wide as their widest cell.
struct TextTable: CustomStringConvertible {
    private var rows: [[String]]

    init(_ header: [String]) { rows = [header] }

    mutating func add(_ row: [String]) { rows.append(row) }

    var description: String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

enum JSONOutput {
    static func print(_ value: some Encodable) throws {
        Swift.print(String(decoding: try JSONEncoder.plane.encode(value), as: UTF8.self))
    }
}

extension Optional where Wrapped == Int64 {
    /// A time for a table.
    var timeText: String { map(UnixTime.text) ?? "-" }
}

func requireName(_ text: String, _ what: String) throws {
    guard Name.isValid(text) else {
        throw ValidationError("\(what) '\(text)' may hold letters, digits, '.', '_' and '-' only, 1 to 63")
    }
}
