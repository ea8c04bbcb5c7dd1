import IO
import Reports
import Synchronization

/// The backups job: seals streams and stores only what is sealed, gives them back, and keeps its targets tidy.
///
/// `nodeguard` makes one, calls `run` once, and `stop` at the end.
package final class BackupJob: Sendable {
    /// Unfinished backups are removed when nothing of them was written for so long: another node may still be at it.
    private static let leftoverAge: Int64 = 86_400

    private let context: StreamContext
    private let server: StreamServer
    private let lane: Lane
    private let housekeeping: Housekeeping
    private let ended = Alarm(label: "backups-end")
    private let isRunning = Atomic(false)
    /// A stop waits so long for streams to say how they ended; a hung target holds it up no longer.
    private static let farewell = Duration.seconds(10)

    /// Binds the stream socket: clients may connect from now on, and are served once `run` is called.
    package init(
        _ configuration: BackupsConfiguration, custody: KeyCustody, audit: AuditReporter, metrics: Metrics,
        board: HealthBoard
    ) throws(BackupError) {
        let parts = PartMemory(bytes: configuration.partMemory)
        let targets = try configuration.targets.map { target throws(BackupError) in
            try Self.makeTarget(target, parts)
        }
        context = StreamContext(
            configuration: configuration, catalog: BackupCatalog(cluster: configuration.cluster, targets: targets),
            custody: custody, audit: audit,
            figures: BackupFigures(targets: configuration.targets, metrics: metrics, board: board),
            memory: StreamMemory(bytes: configuration.streamMemory, coreCount: Cores.count))
        lane = Lane(label: "backups-streams")
        housekeeping = Housekeeping()
        do throws(IOError) {
            server = try StreamServer(context, on: lane)
        } catch { throw BackupError(.target, "could not open the stream socket: \(error)") }
    }

    private static func makeTarget(
        _ target: BackupsConfiguration.Target, _ parts: PartMemory
    ) throws(BackupError) -> any BackupTarget {
        switch target.place {
        case .store(let settings): return try S3Target(name: target.name, settings: settings, memory: parts)
        case .folder(let url):
            guard let path = FileTarget.path(of: url) else {
                throw BackupError(.refused, "target \(target.name): '\(url)' is no folder: write file:///PATH")
            }
            return FileTarget(name: target.name, root: path)
        }
    }

    /// Bytes a second to the target, at once and for streams that run too; nil: no limit.
    package func limitBandwidth(of target: String, to rate: Int?) {
        context.catalog.targets.first { $0.name == target }?.limitBandwidth(to: rate)
    }

    /// Serves until `stop`, and then until the last stream has ended.
    package func run() async {
        isRunning.store(true, ordering: .relaxed)
        let moment = Timestamp(seconds: Timestamp.now.seconds - Self.leftoverAge)
        // Beside the streams: one target that hangs holds up no other.
        async let tidied: Void = housekeeping.tidy(context, untouchedSince: moment)
        await server.run()
        await lane.stop()
        isRunning.store(false, ordering: .relaxed)
        ended.ring()
        await tidied
        for target in context.catalog.targets { await target.close() }
    }

    /// Takes no more streams and ends those that run: none of them becomes a backup, unless its manifest is being
    /// written.
    /// Returns when the last of them has been reported.
    package func stop() async {
        await server.stop()
        if isRunning.load(ordering: .relaxed) { _ = await ended.wait(for: Self.farewell) }
    }

    /// Complete backups in the order of their start, for the status job.
    package func backups() async throws(BackupError) -> [BackupSummary] { try await housekeeping.list(context.catalog) }
}

/// Looks through the targets, apart from the streams. A target's disk that hangs must not end the daemon, and with it
/// the database ports.
private actor Housekeeping: QueueConfined {
    nonisolated let queue = SerialQueue(label: "backups-housekeeping", isPatient: true)

    /// Removes what unfinished backups left, and finds when each name was last backed up.
    func tidy(_ context: StreamContext, untouchedSince moment: Timestamp) {
        for target in context.catalog.targets {
            do throws(BackupError) {
                _ = try target.sweep(context.configuration.cluster, untouchedSince: moment)
                context.figures.targetAnswered(target.name)
            } catch { context.figures.targetFailed(target.name, error) }
        }
        for entry in (try? context.catalog.entries()) ?? [] {
            // What `completedAt` says is only for show; the identifier's own time is the start.
            context.figures.found(entry.known.name, completedAt: entry.identity.backup.start)
        }
    }

    func list(_ catalog: BackupCatalog) throws(BackupError) -> [BackupSummary] {
        try catalog.entries().map(\.summary)
    }
}
