import Audit
import Backups
import Certificates
import IO
import Logging
import OpenSSL
import PlaneClient
import Proxy
import Reports
import Status
import Synchronization
import Systemd

/// The daemon from its first line to its last: harden, start, say so, run, drain, stop in order.
enum Lifecycle {
    static func run(configuration: NodeConfiguration, configurationPath: String) async throws {
        ProcessHardening.apply()
        DescriptorLimit.raise()
        SignalWatch.ignoreBrokenPipes()
        let threshold = LogThreshold(configuration.log.threshold)
        let destination = configuration.log.output
        LoggingSystem.bootstrap { LogOutput(label: $0, destination: destination, threshold: threshold) }
        let log = Logger(label: "nodeguard")

        let state = configuration.node.state
        let lock: Descriptor
        do throws(IOError) {
            try Files.makeDirectory(state, mode: 0o700)
            lock = try Files.lock(state + "/lock")
        } catch {
            throw VerbFailure(
                .failed, "the state folder \(state) cannot be used (\(error)); is another nodeguard running on it?")
        }
        try makeFolders(of: configuration.status)
        let stop = StopRequest()
        let interrupts = SignalWatch([.terminate, .interrupt]) { _ in stop.request() }
        let awaited = AwaitedMembership(configuration, manager: ServiceManager(), stop: stop, log: log)
        guard let cluster = try await awaited.cluster() else { return log.notice("stopped") }
        let node = try Node(configuration, cluster: cluster, keeper: SocketStore().ports)
        let reload = ConfigurationReload(
            of: configurationPath, running: configuration, node: node, threshold: threshold)
        let hangUps = SignalWatch([.hangUp]) { _ in Task { await reload.perform(.signal) } }
        await reload.begin()
        await node.audit.start()
        node.reporter.report(AuditEvent(.agentStarted, fields: ["version": .string(Nodeguard.version)]))
        node.reporter.report(AuditEvent(.configurationLoaded, fields: ["path": .string(configurationPath)]))
        let failure: String?
        do {
            failure = try await serve(node, configuration, reload, stop, log)
        } catch {
            node.reporter.report(AuditEvent(.agentStopped, .failure, fields: ["reason": .string("\(error)")]))
            await node.audit.stop()
            throw error
        }
        log.notice("stopped")
        withExtendedLifetime((interrupts, hangUps)) {}
        _ = lock.rawValue
        if let failure { throw VerbFailure(.failed, failure) }
    }

    /// As `RuntimeDirectory=` does under systemd.
    private static func makeFolders(of sockets: StatusSection) throws(VerbFailure) {
        for path in [sockets.socket, sockets.control, sockets.stream] {
            do throws(IOError) { try Files.makeDirectory(Files.folder(of: path), mode: 0o755) } catch {
                throw VerbFailure(
                    .failed, "no socket can be put at \(path) (\(error)): make its folder, or see 'status'")
            }
        }
    }

    /// Returns when the node has stopped; why, if nobody had asked for it.
    private static func serve(
        _ node: Node, _ configuration: NodeConfiguration, _ reload: ConfigurationReload, _ stop: StopRequest,
        _ log: Logger
    ) async throws -> String? {
        let manager = ServiceManager()
        let status: StatusServer
        do {
            // The ports first: without them nothing is to be left behind.
            try node.proxy.start()
            status = try await StatusServer.open(
                StatusConfiguration(configuration.status), source: node.statusSource(reload), audit: node.reporter,
                logger: Logger(label: "status"))
        } catch {
            await node.proxy.stop()
            await node.backups.stop()
            throw VerbFailure(.failed, "\(error)")
        }
        await node.certificates.start()
        manager.ready(StatusLine.text(node.health.snapshot))
        ProcessMemory.forgetStartUp()
        log.notice("started", metadata: ["version": "\(Nodeguard.version)", "node": "\(configuration.node.name)"])

        let failure = Failure()
        let streams = Task { await node.backups.run() }
        let publishing = Task { await node.publisher.run() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await answer(status, stop, failure) }
            group.addTask { await node.audit.run() }
            group.addTask { await node.certificates.run() }
            group.addTask { await node.revocation?.run() }
            group.addTask { await node.direction?.run() }
            group.addTask { await reload.run() }
            group.addTask { await Pulse(node: node, manager: manager, log: log).run() }
            await stop.wait()
            await end(node, configuration, manager, log)
            group.cancelAll()
        }
        // Not awaited: a stream may hang in a target's disk, and `stop` has given it its time; so may a reload command.
        publishing.cancel()
        withExtendedLifetime(streams) {}
        await status.close()
        return failure.reason.withLock(\.self)
    }

    /// Why a daemon that nobody told to stop had to.
    final class Failure: Sendable {
        let reason = Mutex<String?>(nil)
    }

    /// Nobody could ask any more how the node is if this ended: the node stops, and systemd starts it anew.
    static func answer(_ status: StatusServer, _ stop: StopRequest, _ failure: Failure) async {
        var reason = "the local sockets were closed"
        do {
            try await status.run()
        } catch { reason = "the local sockets have failed: \(error)" }
        if Task.isCancelled { return }
        Logger(label: "nodeguard").critical("\(reason)")
        failure.reason.withLock { $0 = reason }
        stop.request()
    }

    /// Ports first, then streams, then certificates; the audit log last, so that all of this is in it.
    private static func end(
        _ node: Node, _ configuration: NodeConfiguration, _ manager: ServiceManager, _ log: Logger
    ) async {
        manager.stopping("draining")
        log.notice("draining", metadata: ["deadline": "\(configuration.proxy.defaults.drain)"])
        node.health.beginDraining()
        let defaults = configuration.proxy.defaults
        await node.proxy.drain(deadline: defaults.drain, spread: defaults.drainSpread)
        await node.proxy.stop()
        await node.backups.stop()
        await node.certificates.stop()
        node.reporter.report(AuditEvent(.agentStopped))
        await node.audit.stop()
        await node.plane?.close()
    }
}

/// A stop that was asked for, from any thread; asked twice is asked once.
final class StopRequest: Sendable {
    private let alarm = Alarm(label: "stop")

    func request() { alarm.ring() }

    /// True once it was asked for, false when the time is over.
    func wait(for duration: Duration) async -> Bool { await alarm.wait(for: duration) == .rung }

    /// Returns once it was asked for.
    func wait() async {
        while await alarm.wait(for: .seconds(3600)) == .elapsed {}
    }
}

/// Asks every lane for a sign of life, feeds systemd's watchdog only if all gave it, and keeps the status line true.
private struct Pulse {
    private static let interval = Duration.seconds(2)
    private static let lagLimit = 10.0
    private static let stopExtension = Duration.seconds(30)

    let node: Node
    let manager: ServiceManager
    let log: Logger

    func run() async {
        let alarm = Alarm(label: "pulse")
        let machine = WatchdogStateMachine(lagLimit: Self.lagLimit)
        // man sd_watchdog_enabled: at half of the interval.
        let interval = manager.watchdogInterval.map { min(Self.interval, $0 / 2) } ?? Self.interval
        var shown = ""
        var reasons: [String] = []
        var stuckBefore: [String] = []
        while await alarm.wait(for: interval) != .cancelled {
            let loads = Heartbeats.all.map(\.load).filter { !$0.isPatient }
            switch machine.heartbeatsRead(loads.map { ($0.label, $0.lagSeconds) }) {
            case .ping:
                manager.pingWatchdog()
                stuckBefore = []
            case .withhold(let stuck):
                if stuck != stuckBefore {
                    log.error("no sign of life", metadata: ["lanes": "\(stuck.joined(separator: ", "))"])
                }
                stuckBefore = stuck
            }
            Heartbeats.beat()
            let snapshot = node.health.snapshot
            // A drain may be configured to take longer than the unit's TimeoutStopSec=.
            if snapshot.state == .draining { manager.extendTimeout(by: Self.stopExtension) }
            reasons = logNew(snapshot, reasons)
            let line = StatusLine.text(snapshot)
            if line != shown { manager.show(line) }
            shown = line
        }
    }
}

extension Pulse {
    /// Each reason once, when it comes up; returns those that are up.
    fileprivate func logNew(_ snapshot: HealthBoard.Snapshot, _ before: [String]) -> [String] {
        let now = snapshot.reasons.map { $0.code + " " + $0.subject }
        for (key, reason) in zip(now, snapshot.reasons) where !before.contains(key) {
            log.log(
                level: reason.severity == .info ? .info : reason.severity == .warn ? .warning : .error,
                "\(reason.detail); \(reason.action)",
                metadata: ["reason": "\(reason.code)", "subject": "\(reason.subject)"])
        }
        return now
    }
}

/// systemd's `STATUS=`: the state, then what keeps it from being ready or what is worst.
enum StatusLine {
    static func text(_ snapshot: HealthBoard.Snapshot) -> String {
        let unmet = snapshot.conditions.filter { !$0.isMet }.map { "\($0.name): \($0.detail)" }
        let worst = snapshot.reasons.first.map { ["\($0.code): \($0.detail)"] } ?? []
        return ([snapshot.state.rawValue] + unmet + worst).joined(separator: "; ")
    }
}

extension LogSection {
    var threshold: Logger.Level { Logger.Level(rawValue: level.rawValue) ?? .info }

    fileprivate var output: LogDestination {
        switch destination {
        case .auto: .automatic
        case .journal: .journal
        case .standardError: .standardError
        }
    }
}
