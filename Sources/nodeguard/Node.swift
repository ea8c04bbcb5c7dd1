import Audit
import Backups
import Certificates
import IO
import Management
import OpenSSL
import PlaneAPI
import PlaneClient
import Proxy
import Reports
import Status
import Systemd

/// One node: every job, made from the configuration and joined by closures. The only file that sees them all.
struct Node {
    /// The node is ready when all of these hold.
    static let conditions = ["certificates", "listeners", "spool"]

    let health = HealthBoard(conditions: conditions)
    let metrics = Metrics()
    let audit: AuditJob
    /// Where every job reports: to the log and to the spool.
    let reporter: AuditReporter
    let certificates: CertificateRenewer
    /// nil: no listener asks for the cluster's CRLs.
    let revocation: RevocationFetcher?
    /// nil: there is no plane, or it directs nothing here.
    let direction: Direction?
    let publisher: CertificatePublisher
    let proxy: DatabaseProxy
    let backups: BackupJob
    let plane: PlaneClient?
    /// Rung when certificate or trust files should be read again.
    let filesDue = Alarm(label: "files-due")
    private let configuration: NodeConfiguration
    private let cluster: String
    private let started = Timestamp.now

    init(_ configuration: NodeConfiguration, cluster: String, keeper: PortKeeper = .none) throws {
        self.configuration = configuration
        self.cluster = cluster
        let plane = configuration.management.map { PlaneClient(url: $0.url, estURL: $0.est.url, estUser: $0.est.user) }
        self.plane = plane
        audit = AuditJob(
            AuditConfiguration(
                directory: configuration.node.state, limit: Int64(configuration.audit.spoolLimit),
                whenFull: configuration.audit.whenFull, witness: configuration.audit.witness,
                node: configuration.node.name, cluster: cluster),
            receiver: plane.map { AuditReceiver.plane($0) }, health: health, metrics: metrics)
        let spooled = audit.reporter
        let reporter = AuditReporter { event in
            EventLog.write(event)
            spooled.report(event)
        }
        self.reporter = reporter
        let atStart = DesiredAtStart(configuration, cluster: cluster)
        let proxy = DatabaseProxy(
            try configuration.proxyConfiguration().narrowed(by: atStart.overlay), metrics: metrics, health: health,
            audit: reporter, keeper: keeper, isAudited: { [audit] in audit.admitsConnections })
        self.proxy = proxy
        revocation = Self.clusterLists(
            configuration, cluster: cluster, plane, for: proxy, reports: (health, metrics, reporter))
        let inService = ObservedNode()
        let (reportDue, questionDue) = (Alarm(label: "observed"), Alarm(label: "desired"))
        let clusterTrust = ClusterTrust()
        let (states, roles) = (
            PublicationStates(), configuration.certificatesConfiguration().named(by: atStart.overlay)
        )
        let publisher = CertificatePublisher(
            roles, isSupervised: ServiceManager().isPresent, states: states, health: health, metrics: metrics,
            audit: reporter)
        self.publisher = publisher
        certificates = CertificateRenewer(
            roles, plane: plane,
            receiver: CertificateReceiver(
                nodeIdentity: { [revocation] identity, _ in
                    revocation?.identityChanged()
                    inService.took(identity, ofRole: ObservedNode.ownRole)
                    questionDue.ring()
                    reportDue.ring()
                },
                identity: { role, identity in proxy.publish(identity: identity, forRole: role) },
                inService: { role, identity in
                    publisher.taken(identity, ofRole: role)
                    inService.took(identity, ofRole: role)
                    reportDue.ring()
                },
                trust: { [revocation] trust in
                    publisher.taken(trust)
                    inService.took(trust)
                    if let anchors = clusterTrust.anchors(of: trust) { proxy.publish(trust: anchors) }
                    revocation?.publish(trust: trust)
                    reportDue.ring()
                },
                filesDue: { [filesDue] in filesDue.ring() }),
            publications: states, health: health, metrics: metrics, audit: reporter)
        var direction: Direction?
        if let plane, configuration.management?.isDirected == true {
            direction = Direction(
                configuration, cluster: cluster, plane: plane, atStart: atStart, node: inService, proxy: proxy,
                certificates: certificates, reportDue: reportDue, questionDue: questionDue,
                reports: (health, metrics, reporter))
        }
        self.direction = direction
        backups = try BackupJob(
            configuration.backupsConfiguration(cluster: cluster),
            custody: plane.map { KeyCustody($0) } ?? .withoutPlane, audit: reporter, metrics: metrics, board: health)
    }

    /// nil: nobody asks for the cluster's revocation lists.
    private static func clusterLists(
        _ configuration: NodeConfiguration, cluster: String, _ plane: PlaneClient?, for proxy: DatabaseProxy,
        reports: (health: HealthBoard, metrics: Metrics, audit: AuditReporter)
    ) -> RevocationFetcher? {
        guard let plane, configuration.asksForClusterLists else { return nil }
        return RevocationFetcher(
            cluster: cluster, stateDirectory: configuration.node.state, plane: plane,
            receiver: { proxy.publish(revocation: ClusterRevocation(lists: $0, signers: $1)) },
            health: reports.health, metrics: reports.metrics, audit: reports.audit)
    }

    /// What the status job shows and may set going.
    func statusSource(_ reload: ConfigurationReload) -> StatusSource {
        let node = configuration.node.name
        let cluster = self.cluster
        let started = self.started
        return StatusSource(
            identification: {
                NodeIdentification(node: node, cluster: cluster, version: Nodeguard.version, started: started)
            },
            health: health, metrics: metrics,
            lanes: {
                Heartbeats.all.map(\.load).map { load in
                    LaneSample(
                        label: load.label, jobCount: load.jobCount, busySeconds: load.busySeconds,
                        lagSeconds: load.lagSeconds, isPatient: load.isPatient)
                }
            },
            control: controlActions(reload))
    }

    private func controlActions(_ reload: ConfigurationReload) -> ControlActions {
        let (proxy, certificates, audit, health) = (self.proxy, self.certificates, self.audit, self.health)
        return ControlActions(
            connections: { after, limit in
                // One more tells whether there is another page.
                ConnectionPage(await proxy.connections(after: after, limit: limit + 1), limit: limit).document
            },
            events: { count in
                ["events": .array(await audit.tail(count).compactMap { ReadJSON.parse(Array($0.utf8)) })]
            },
            renew: { role in
                switch await certificates.renew(role: role) {
                case .begun: .accepted("the certificate of \(role) is being renewed")
                case .unknownRole: .unknown("there is no role \(role)")
                case .refused(let reason): .refused(reason)
                }
            },
            kill: { text in
                guard let id = UInt64(text), await proxy.kill(id) else {
                    return .unknown("there is no connection \(text)")
                }
                return .done(["killed": .string(text)])
            },
            drain: {
                health.beginDraining()
                await proxy.beginDrain()
                return .accepted("no new connections are taken")
            },
            undrain: {
                do {
                    try proxy.undrain()
                } catch {
                    return .failed("\(error)")
                }
                health.endDraining()
                return .done(["state": "ready"])
            },
            reload: { waits in
                let outcome = await reload.perform(.call)
                if waits { await proxy.reviewed() }
                return outcome.controlOutcome
            }, bans: BanActions(proxy))
    }

    /// The configuration's word, a former join's, or the bundle's that waits; nil if nothing tells.
    static func cluster(_ configuration: NodeConfiguration) -> String? {
        if let cluster = configuration.node.cluster { return cluster }
        let joined = (try? TrustStore(stateDirectory: configuration.node.state).load())?.trust?.membership.cluster
        if let joined { return joined }
        guard let management = configuration.management else { return "standalone" }
        let text = try? SecretReference.contents(of: management.join)
        return text.flatMap { try? JoinOffer(reading: $0) }?.bundle.cluster
    }
}

extension NodeConfiguration {
    fileprivate var asksForClusterLists: Bool {
        (proxy.listeners.map(\.revocation) + proxy.tunnels.map(\.revocation)).contains { $0?.usesCluster == true }
    }
}

extension KeyCustody {
    /// Fails closed: without a plane there are no keys, and without a key no byte is written.
    fileprivate static var withoutPlane: KeyCustody {
        struct NoPlane: Error, CustomStringConvertible {
            let description = "this node has no management plane, which keeps the keys of backups"
        }
        return KeyCustody(
            create: { _ in throw NoPlane() }, unwrap: { _, _, _, _ in throw NoPlane() },
            delete: { _ in throw NoPlane() })
    }
}
