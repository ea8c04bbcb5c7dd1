import Backups
import Glibc
import Reports

/// The backup verbs' way to the daemon: connects, shows progress on standard error, and tells how it ended.
struct BackupCalls {
    private let socket: String
    private let isJSON: Bool
    /// Of `get`: standard output is the backup itself.
    private let isQuiet: Bool

    init(_ location: ConfigurationOption, _ form: JSONFlag?) throws(VerbFailure) {
        socket = try location.read().status.stream
        isJSON = form?.json ?? false
        isQuiet = form == nil
    }

    typealias Call = (consuming StreamClient, @escaping StreamClient.Progress) throws(BackupError) -> BackupOutcome

    func report(_ verb: String, _ call: Call) throws(VerbFailure) -> VerbStatus {
        let progress = BackupProgress(isTerminal: isatty(STDERR_FILENO) == 1)
        let outcome: BackupOutcome
        do throws(BackupError) {
            outcome = try call(StreamClient(connectingTo: socket), progress.show)
        } catch {
            progress.end()
            throw Self.failure(error)
        }
        progress.end()
        let text = isJSON ? Self.json(outcome).text : Self.text(verb, outcome)
        if isQuiet { Console.complain(text) } else { Console.say(text) }
        return .ready
    }

    func list(_ target: String?) throws(VerbFailure) {
        let backups: [BackupSummary]
        do throws(BackupError) {
            backups = try StreamClient(connectingTo: socket).list(target: target)
        } catch { throw Self.failure(error) }
        Console.say(isJSON ? JSONValue.array(backups.map(Self.json)).text : Self.text(backups))
    }

    static func failure(_ error: BackupError) -> VerbFailure {
        let text = error.description.printable
        guard error.kind == .unreachable else { return VerbFailure(.failed, text) }
        // The words of EACCES: a program that sets no locale gets them in English (strerror(3)).
        return VerbFailure(text.contains("Permission denied") ? .notAllowed : .unreachable, text)
    }

    static func text(_ verb: String, _ outcome: BackupOutcome) -> String {
        let what = [outcome.name, outcome.backup.map { "(\($0))" }].compactMap { $0?.printable }
            .joined(separator: " ")
        var parts: [String] = []
        if outcome.bytes > 0 || outcome.storedBytes > 0 {
            parts.append(
                "\(Measures.bytes(Double(outcome.bytes))), stored \(Measures.bytes(Double(outcome.storedBytes)))")
        }
        if outcome.seconds > 0 {
            let rate = outcome.bytes > 0 ? ", \(Measures.bytes(Double(outcome.bytes) / outcome.seconds))/s" : ""
            parts.append("\((outcome.seconds * 10).rounded() / 10) s\(rate)")
        }
        if let level = outcome.level { parts.append("level \(level)") }
        let place = outcome.target.map { " at \($0.printable)" } ?? ""
        return (what.isEmpty ? verb : "\(verb) \(what)") + place
            + (parts.isEmpty ? "" : ": " + parts.joined(separator: ", "))
    }

    static func text(_ backups: [BackupSummary]) -> String {
        if backups.isEmpty { return "no backup" }
        var table = TextTable(columns: [
            .init(title: "NAME"), .init(title: "STARTED"), .init(title: "COMPLETED"),
            .init(title: "STORED", isNumber: true), .init(title: "TARGET"), .init(title: "ID"),
        ])
        table.rows = backups.map {
            [
                $0.name.printable, $0.startedAt.printable, $0.completedAt.printable,
                Measures.bytes(Double($0.storedBytes)), $0.target.printable, $0.backup.printable,
            ]
        }
        return table.lines(width: Console.width).joined(separator: "\n")
    }

    static func json(_ outcome: BackupOutcome) -> JSONValue {
        [
            "backup": outcome.backup.map { .string($0) } ?? .null, "name": outcome.name.map { .string($0) } ?? .null,
            "target": outcome.target.map { .string($0) } ?? .null, "bytes": .integer(outcome.bytes),
            "stored_bytes": .integer(outcome.storedBytes), "volumes": .count(outcome.volumes),
            "seconds": .number(outcome.seconds), "level": outcome.level.map { .count($0) } ?? .null,
        ]
    }

    static func json(_ backup: BackupSummary) -> JSONValue {
        [
            "name": .string(backup.name), "backup": .string(backup.backup), "target": .string(backup.target),
            "node": .string(backup.node), "started_at": .string(backup.startedAt),
            "completed_at": .string(backup.completedAt), "stored_bytes": .integer(backup.storedBytes),
        ]
    }
}

/// Progress on standard error: one line that is redrawn on a terminal, else a line every few seconds.
final class BackupProgress {
    private static let quietSeconds = 5.0

    private let isTerminal: Bool
    private var lastShown = 0.0
    private var isDrawn = false

    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    func show(_ reply: StreamReply) {
        guard case .progress(let bytes, let stored, let seconds) = reply else { return }
        guard isTerminal || seconds - lastShown >= Self.quietSeconds else { return }
        lastShown = seconds
        isDrawn = true
        let line = Self.line(bytes, stored, seconds)
        if isTerminal { Console.redraw(line) } else { Console.complain(line) }
    }

    /// Leaves the redrawn line behind.
    func end() {
        if isTerminal, isDrawn { Console.complain("") }
        isDrawn = false
    }

    static func line(_ bytes: Int64, _ stored: Int64, _ seconds: Double) -> String {
        let rate = seconds > 0 ? ", \(Measures.bytes(Double(bytes) / seconds))/s" : ""
        return "\(Measures.bytes(Double(bytes))), stored \(Measures.bytes(Double(stored))), \(Int(seconds)) s\(rate)"
    }
}
