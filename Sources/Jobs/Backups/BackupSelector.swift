/// The label that a person gives a backup; each put under it makes a new backup.
package struct BackupName: Hashable, Sendable, CustomStringConvertible {
    package static let lengthLimit = 128

    package let text: String
    package var description: String { text }

    /// Letters, digits, `.`, `_` and `-`, beginning with a letter or digit; nothing that `NAME@TIME`, a path, a
    /// metric's label or a terminal could take for something else. A backup's identifier is no name.
    package init?(_ text: String) {
        guard (1...Self.lengthLimit).contains(text.utf8.count), let first = text.utf8.first,
            Self.isLetterOrDigit(first), BackupIdentifier(text) == nil,
            text.utf8.allSatisfy({ Self.isLetterOrDigit($0) || [0x2D, 0x2E, 0x5F].contains($0) })
        else { return nil }
        self.text = text
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    package static let rule = "a name is 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit"
}

/// Which backup a read verb means: `NAME` (the newest complete one), `NAME@TIME`, or an identifier.
package enum BackupSelector: Equatable, Sendable {
    case newest(BackupName)
    /// The time as `list` prints it, or the beginning of it.
    case started(BackupName, at: String)
    case identified(BackupIdentifier)

    package enum Selection<Backup> {
        case selected(Backup)
        case refused(String)
    }

    package init?(_ text: String) {
        if let identifier = BackupIdentifier(text) {
            self = .identified(identifier)
        } else if let separator = text.firstIndex(of: "@") {
            let time = String(text[text.index(after: separator)...])
            guard let name = BackupName(String(text[..<separator])), Self.isBeginningOfTime(time) else { return nil }
            self = .started(name, at: time)
        } else if let name = BackupName(text) {
            self = .newest(name)
        } else {
            return nil
        }
    }

    package static let rule =
        "name a backup as NAME, NAME@TIME (the time that list prints, or its beginning) or by its id"

    package func select(from backups: [PublicManifest]) -> Selection<PublicManifest> {
        switch self {
        case .identified(let identifier):
            guard let backup = backups.first(where: { $0.backup == identifier.text }) else {
                return .refused("there is no complete backup \(identifier)")
            }
            return .selected(backup)
        case .newest(let name):
            guard let backup = backups.filter({ $0.name == name.text }).max(by: { $0.backup < $1.backup }) else {
                return .refused("there is no complete backup named \(name)")
            }
            return .selected(backup)
        case .started(let name, let time):
            let matching = backups.filter { $0.name == name.text && $0.startedAt.hasPrefix(time) }
            guard let backup = matching.first else { return .refused("no backup named \(name) started at \(time)") }
            guard matching.count == 1 else {
                let identifiers = matching.map(\.backup).sorted().joined(separator: ", ")
                return .refused("\(matching.count) backups named \(name) started at \(time): \(identifiers)")
            }
            return .selected(backup)
        }
    }

    /// `2026`, `2026-11-24T10:56` or `2026-11-24T10:56:00Z`.
    private static func isBeginningOfTime(_ text: String) -> Bool {
        let pattern = Array("0000-00-00T00:00:00Z".utf8)
        let bytes = Array(text.utf8)
        guard (4...pattern.count).contains(bytes.count) else { return false }
        return zip(bytes, pattern).allSatisfy { byte, expected in
            expected == UInt8(ascii: "0") ? (0x30...0x39).contains(byte) : byte == expected
        }
    }
}
