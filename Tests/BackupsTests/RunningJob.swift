import Dispatch
import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport

@testable import Backups

/// Stands for the management plane: wraps backup keys under a key of its own, and refuses when told to.
final class TestCustody: Sendable {
    struct Refusal: Error, CustomStringConvertible { let description: String }

    private struct Contents {
        var isAway = false
        var reasons: [String] = []
        var created: [String] = []
        var deleted: [String] = []
    }

    private let wrappingKey = SecretReference(SecretBytes(random: 32))
    private let contents = Mutex(Contents())

    var created: [String] { contents.withLock { $0.created } }
    var deleted: [String] { contents.withLock { $0.deleted } }
    var reasons: [String] { contents.withLock { $0.reasons } }
    func goAway(_ isAway: Bool = true) { contents.withLock { $0.isAway = isAway } }

    var keys: KeyCustody {
        KeyCustody(
            create: { backup in try self.create(backup) },
            unwrap: { id, wrapped, kek, reason in try self.unwrap(id, wrapped, kek, reason) },
            delete: { id in try self.delete(id) })
    }

    private func answer() throws {
        if contents.withLock({ $0.isAway }) { throw Refusal(description: "the plane is away") }
    }

    private func create(_ backup: String) throws -> CreatedBackupKey {
        try answer()
        let id = "bk-\(backup)"
        let plain = secureRandom(32)
        let iv = secureRandom(12)
        let sealed = try wrappingKey.withSecret { try AES256GCM(key: $0).seal(iv: iv, aad: Array(id.utf8), plain) }
        contents.withLock { $0.created.append(id) }
        return CreatedBackupKey(
            key: BackupKey(id: id, secret: SecretReference(copying: plain)), kek: "kek-1", wrapped: iv + sealed)
    }

    private func unwrap(_ id: String, _ wrapped: [UInt8], _ kek: String, _ reason: String) throws -> SecretReference {
        try answer()
        let opened = try wrappingKey.withSecret {
            try AES256GCM(key: $0).open(
                iv: Array(wrapped.prefix(12)), aad: Array(id.utf8), Array(wrapped.dropFirst(12)))
        }
        guard kek == "kek-1", let opened else { throw Refusal(description: "not a key of this plane") }
        contents.withLock { $0.reasons.append(reason) }
        return SecretReference(copying: opened)
    }

    private func delete(_ id: String) throws {
        try answer()
        contents.withLock { $0.deleted.append(id) }
    }
}

/// A backups job that serves a socket in a folder of its own.
final class RunningJob: Sendable {
    let folder: TemporaryDirectory
    let job: BackupJob
    let custody: TestCustody
    let board = HealthBoard(conditions: [])
    let metrics = Metrics()
    private let events = Events()
    private let running: Task<Void, Never>

    var socket: String { folder.file("stream.sock") }
    var audited: [AuditEvent] { events.all }

    /// Whether status and metrics both say when the name was last backed up.
    func lastSuccess(_ name: String) -> Bool {
        let section = board.snapshot.sections["backups"]?.text ?? ""
        let isInMetrics = metrics.openMetricsText.contains(
            "nodeguard_backup_last_success_timestamp_seconds{name=\"\(name)\"} ")
        return isInMetrics && section.contains("\"last_success\":{\"\(name)\":\"20")
    }

    var target: FileTarget { FileTarget(name: "local", root: folder.file("backups")) }

    init(
        layout: StreamLayout = StreamLayout(frameLength: 4096, framesPerVolume: 8),
        in folder: TemporaryDirectory? = nil,
        custody: TestCustody = TestCustody(), requestDeadline: Duration = .seconds(10)
    ) throws {
        let folder = try folder ?? temporaryDirectory()
        let configuration = BackupsConfiguration(
            node: "db-1", cluster: "cluster-a", version: "1",
            targets: [.init(name: "local", url: "file://\(folder.path)/backups")],
            socket: folder.file("stream.sock"), layout: layout,
            requestDeadline: requestDeadline)
        let job = try BackupJob(
            configuration, custody: custody.keys, audit: AuditReporter { [events] in events.add($0) },
            metrics: metrics, board: board)
        (self.folder, self.job, self.custody) = (folder, job, custody)
        running = Task { await job.run() }
    }

    func stop() async {
        await job.stop()
        await running.value
    }

    /// Runs the client's blocking side on a thread that nobody else waits for.
    func client<Result: Sendable>(
        _ body: @escaping @Sendable (consuming StreamClient) throws -> Result
    ) async throws -> Result {
        let socket = self.socket
        return try await blocking { try body(try StreamClient(connectingTo: socket)) }
    }

    func put(_ name: String, _ bytes: [UInt8], allowEmpty: Bool = false) async throws -> BackupOutcome {
        let input = try folder.write(bytes, to: "input-\(name)")
        return try await client { client in
            try client.put(name, allowEmpty: allowEmpty, from: try Files.openForReading(input))
        }
    }

    /// What came out, whatever the outcome.
    func get(_ selector: String) async throws -> (bytes: [UInt8], error: BackupError?) {
        let output = folder.file("output")
        if Files.exists(output) { try Files.remove(output) }
        do {
            _ = try await client { try $0.get(selector, to: try Files.create(output, mode: 0o600)) }
            return (try Files.read(output, limit: 1 << 26), nil)
        } catch let error as BackupError {
            return (try Files.read(output, limit: 1 << 26), error)
        }
    }

    func list() async throws -> [BackupSummary] { try await client { try $0.list() } }

    /// All files under the target.
    var storedFiles: [String] {
        let root = folder.file("backups")
        let paths = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
        return paths.filter { !Files.isDirectory("\(root)/\($0)") }.sorted()
    }
}

private final class Events: Sendable {
    private let kept = Mutex<[AuditEvent]>([])

    var all: [AuditEvent] { kept.withLock { $0 } }
    func add(_ event: AuditEvent) { kept.withLock { $0.append(event) } }
}
