import Logging
import Reports

/// One log line before it is written: rendered once as journal fields (systemd.journal-fields(7)) or as a line of text.
struct LogRecord {
    /// A longer value is cut: a log line is no transport for data.
    static let valueLimit = 4096

    let time: Timestamp
    let level: Logger.Level
    let label: String
    let message: String
    let metadata: [(key: String, value: String)]

    /// `NAME=value`, one a field. Metadata `peer-address` becomes `NODEGUARD_PEER_ADDRESS`.
    var journalFields: [String] {
        var fields = [
            "MESSAGE=\(message)", "PRIORITY=\(level.priority)", "SYSLOG_IDENTIFIER=nodeguard", "NODEGUARD_JOB=\(label)",
        ]
        for (key, value) in metadata {
            fields.append("NODEGUARD_\(Self.fieldName(key))=\(value.prefix(Self.valueLimit))")
        }
        return fields
    }

    /// `2026-11-24T10:56:00.123Z info certificates: enrolled role=node serial=0A:1B`
    var line: String {
        var text = "\(time.precise) \(level) \(label): \(Self.oneLine(message))"
        for (key, value) in metadata { text += " \(key)=\(Self.quoted(String(value.prefix(Self.valueLimit))))" }
        return text
    }

    /// Journal field names are upper-case letters, digits and underscores.
    private static func fieldName(_ key: String) -> String {
        String(
            key.unicodeScalars.map { scalar -> Character in
                switch scalar {
                case "a"..."z": Character(String(scalar).uppercased())
                case "A"..."Z", "0"..."9": Character(scalar)
                default: "_"
                }
            })
    }

    private static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0.value != 0x7F }
        return isPlain ? value : JSONValue.string(value).text
    }

    /// A log line that a peer could break in two could forge the next.
    private static func oneLine(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }
}

extension Logger.Level {
    /// syslog's numbers, as journald's `PRIORITY=` wants them.
    fileprivate var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
