import IO
import Logging
import Reports
import Status
import Systemd

/// A node that does not know its cluster yet, until its join bundle is there: it answers on its sockets, opens no port,
/// and writes nothing under a name that it could not keep.
struct AwaitedMembership {
    private static let interval = Duration.seconds(1)

    let configuration: NodeConfiguration
    let manager: ServiceManager
    let stop: StopRequest
    let log: Logger
    private let health = HealthBoard(conditions: Node.conditions)
    private let metrics = Metrics()
    private let started = Timestamp.now

    init(_ configuration: NodeConfiguration, manager: ServiceManager, stop: StopRequest, log: Logger) {
        self.configuration = configuration
        self.manager = manager
        self.stop = stop
        self.log = log
    }

    /// The cluster, at once where it is known; nil if the daemon was asked to stop.
    func cluster() async throws(StatusError) -> String? {
        if let cluster = Node.cluster(configuration) { return cluster }
        health.raise(
            HealthReason(
                "JOIN_BUNDLE_AWAITED", .warn,
                detail: "this node has joined no cluster, and there is no join bundle that could be used",
                action: "make one with nodeguard-plane token create, then nodeguard join -"))
        let status = try await StatusServer.open(
            StatusConfiguration(configuration.status), source: source, audit: AuditReporter { EventLog.write($0) },
            logger: Logger(label: "status"))
        manager.ready(StatusLine.text(health.snapshot))
        log.notice("waiting for a join bundle")
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await status.run() }
            defer { group.cancelAll() }
            while true {
                if let cluster = Node.cluster(configuration) { return cluster }
                if await stop.wait(for: Self.interval) { return nil }
                manager.pingWatchdog()
            }
        }
    }

    private var source: StatusSource {
        let (node, started) = (configuration.node.name, started)
        let refusal = ControlOutcome.refused("this node has joined no cluster yet")
        return StatusSource(
            identification: {
                NodeIdentification(node: node, cluster: "", version: Nodeguard.version, started: started)
            },
            health: health, metrics: metrics, lanes: { [] },
            control: ControlActions(
                connections: { _, _ in ["connections": []] }, events: { _ in ["events": []] }, renew: { _ in refusal },
                kill: { _ in refusal }, drain: { refusal }, undrain: { refusal }, reload: { _ in refusal }))
    }
}

extension StatusConfiguration {
    init(_ section: StatusSection) {
        self.init(
            statusPath: section.socket, controlPath: section.control, mode: section.mode, group: section.group)
    }
}
