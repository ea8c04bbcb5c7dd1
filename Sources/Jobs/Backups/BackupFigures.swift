import Reports
import Synchronization

/// What the job says of its streams: metrics, the `backups` section of the status document, and reasons for concern.
package final class BackupFigures: Sendable {
    /// Names beyond this are not told apart any more: a caller who invents names must not fill memory.
    private static let nameLimit = 1000
    private static let failure = "BACKUP_FAILED"

    private struct RunningStream {
        let verb: StreamRequest.Verb
        let backup: String
        let name: String
        let target: String
        let watch: StreamWatch
    }

    private struct Contents {
        var running: [UInt64: RunningStream] = [:]
        var nextNumber: UInt64 = 0
        var lastSuccess: [String: Timestamp] = [:]
    }

    private let board: HealthBoard
    private let targets: [BackupsConfiguration.Target]
    private let contents = Mutex(Contents())
    private let sealed: Counter
    private let stored: Counter
    private let restored: Counter
    private let completed: Counter
    private let failed: Counter
    private let seconds: Counter

    init(targets: [BackupsConfiguration.Target], metrics: Metrics, board: HealthBoard) {
        self.targets = targets
        self.board = board
        sealed = metrics.counter("nodeguard_backup_sealed_bytes", "Plaintext that went into backups.")
        stored = metrics.counter("nodeguard_backup_stored_bytes", "Ciphertext of complete backups.")
        restored = metrics.counter("nodeguard_backup_restored_bytes", "Plaintext that came out of backups.")
        completed = metrics.counter("nodeguard_backup_completed", "Backups that were made.")
        failed = metrics.counter("nodeguard_backup_failed", "Backups that were begun and not made.")
        seconds = metrics.counter("nodeguard_backup_seconds", "Time that complete backups took.")
        metrics.gauge("nodeguard_backup_last_success_timestamp_seconds", "When a backup was last completed, by name.") {
            [weak self] in
            self?.lastSuccesses.map { (labels: [("name", $0)], value: Double($1.seconds)) } ?? []
        }
        metrics.gauge("nodeguard_backup_running_streams", "Backup and restore streams that run now.") { [weak self] in
            [(labels: [], value: Double(self?.contents.withLock { $0.running.count } ?? 0))]
        }
        publish()
    }

    private var lastSuccesses: [(String, Timestamp)] {
        contents.withLock { $0.lastSuccess.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
    }

    /// Returns the number to end it with.
    func began(
        _ verb: StreamRequest.Verb, _ identity: BackupIdentity, name: String, target: String, _ watch: StreamWatch
    ) -> UInt64 {
        let number = contents.withLock { contents in
            contents.nextNumber += 1
            contents.running[contents.nextNumber] = RunningStream(
                verb: verb, backup: identity.backup.text, name: name, target: target, watch: watch)
            return contents.nextNumber
        }
        publish()
        return number
    }

    func ended(_ number: UInt64) {
        contents.withLock { _ = $0.running.removeValue(forKey: number) }
        publish()
    }

    /// A complete backup; also those that are found at start.
    func found(_ name: String, completedAt time: Timestamp) {
        contents.withLock { contents in
            guard contents.lastSuccess[name] != nil || contents.lastSuccess.count < Self.nameLimit else { return }
            contents.lastSuccess[name] = max(time, contents.lastSuccess[name] ?? time)
        }
        publish()
    }

    /// A backup of the name was deleted; `newest`: what is left of them.
    func deleted(_ name: String, newest: Timestamp?) {
        contents.withLock { $0.lastSuccess[name] = newest }
        publish()
    }

    /// Whether there was a failure of the name to forget.
    func forgetFailure(of name: String) -> Bool {
        let isKnown = board.snapshot.reasons.contains { $0.code == Self.failure && $0.subject == name }
        if isKnown { board.clear(Self.failure, subject: name) }
        return isKnown
    }

    func made(_ name: String, _ outcome: BackupOutcome) {
        sealed.add(UInt64(outcome.bytes))
        stored.add(UInt64(outcome.storedBytes))
        completed.add()
        seconds.add(UInt64(outcome.seconds.rounded(.up)))
        board.clear(Self.failure, subject: name)
        found(name, completedAt: .now)
    }

    func notMade(_ name: String, _ error: BackupError) {
        failed.add()
        let isFirst = contents.withLock { $0.lastSuccess[name] == nil }
        board.raise(
            HealthReason(
                Self.failure, .warn, subject: name, detail: "backup \(name) was not made: \(error)",
                action: "make it again: the next backup of that name clears this"
                    + (isFirst ? "; if the name was a mistake, nodeguard backup delete \(name) does" : "")))
    }

    func targetAnswered(_ name: String) { board.clear("BACKUP_TARGET_FAILED", subject: name) }

    func targetFailed(_ name: String, _ error: BackupError) {
        board.raise(
            HealthReason(
                "BACKUP_TARGET_FAILED", .warn, subject: name, detail: error.description,
                action: "make the target's folder readable and writable for nodeguard, or its store reachable"))
    }

    func restored(_ bytes: Int64) { restored.add(UInt64(bytes)) }

    func publish() {
        let (running, successes) = contents.withLock { ($0.running.values.map { $0 }, $0.lastSuccess) }
        let streams = running.sorted { $0.backup < $1.backup }.map { stream -> JSONValue in
            let seconds = stream.watch.seconds
            let bytes = stream.watch.plaintextBytes
            return [
                "verb": .string(stream.verb.rawValue), "backup": .string(stream.backup), "name": .string(stream.name),
                "target": .string(stream.target), "bytes": .count(bytes),
                "stored_bytes": .count(stream.watch.storedBytes),
                "seconds": .integer(Int64(seconds)),
                "bytes_per_second": .integer(seconds > 0 ? Int64(Double(bytes) / seconds) : 0),
            ]
        }
        board.publish(
            section: "backups",
            [
                "targets": .array(targets.map(\.document)),
                "streams": .array(streams), "stream_limit": .count(BackupsConfiguration.streamLimit),
                "last_success": .object(successes.mapValues { .string($0.description) }),
            ])
    }
}

extension BackupsConfiguration.Target {
    fileprivate var document: JSONValue {
        var document: [String: JSONValue] = ["name": .string(name), "url": .string(url)]
        if case .store(let settings) = place {
            document["endpoint"] = .string(settings.endpoint)
            // What is stored is sealed; who stores it, and when, anybody on the way can see and disturb.
            document["transport"] = .string(settings.isPlaintext ? "plain http" : "tls")
        }
        return .object(document)
    }
}
