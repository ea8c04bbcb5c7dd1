import Audit
import Certificates
import IO
import Management
import OpenSSL
import PlaneAPI
import PlaneClient
import Proxy
import Reports

/// The two halves of what goes on between this node and its plane beside certificates: what it is to do, and what it
/// does.
struct Direction: Sendable {
    private let desired: DesiredStateFetcher
    private let observed: ObservedReporter

    /// `reportDue`, `questionDue`: rung by whoever changes what is reported, or as whom the plane is called.
    init(
        _ configuration: NodeConfiguration, cluster: String, plane: PlaneClient, atStart: DesiredAtStart,
        node: ObservedNode, proxy: DatabaseProxy, certificates: CertificateRenewer, reportDue: Alarm,
        questionDue: Alarm, reports: (health: HealthBoard, metrics: Metrics, audit: AuditReporter)
    ) {
        let (state, version) = (configuration.node.state, Nodeguard.version)
        let application = DesiredApplication(
            configuration: configuration, proxy: proxy, certificates: certificates)
        let desired = DesiredStateFetcher(
            for: VerifiedDesiredState.Reader(cluster: cluster, node: configuration.node.name, version: version),
            stateDirectory: state, stored: atStart.stored, results: atStart.overlay.results, alarm: questionDue,
            plane: plane, node: node, apply: { await application.apply($0) },
            renew: { await application.renew(role: $0) }, changed: { reportDue.ring() }, health: reports.health,
            metrics: reports.metrics, audit: reports.audit)
        self.desired = desired
        observed = ObservedReporter(
            version: version, boot: AuditConfiguration.currentBoot, stateDirectory: state, alarm: reportDue,
            plane: plane, node: node, listeners: { proxy.observations.map { ObservedState.Listener($0) } },
            desired: { await desired.observed() }, health: reports.health, metrics: reports.metrics)
    }

    /// Until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await desired.run() }
            group.addTask { await observed.run() }
        }
    }
}

extension ObservedState.Listener {
    fileprivate init(_ listener: ListenerObservation) {
        self.init(
            name: listener.name, isTunnel: listener.isTunnel, roles: listener.roles, anchors: listener.anchors,
            served: listener.served, issuers: listener.issuers, unknownCA: listener.unknownCA,
            refusingClients: listener.refusingClients, unknownIssuers: listener.unknownIssuers)
    }
}
