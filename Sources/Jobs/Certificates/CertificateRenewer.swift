import IO
import OpenSSL
import PlaneClient
import Reports
import Tokens

/// The certificates job: joins the node, obtains its certificates, renews them in time and hands out what is in
/// service.
///
/// Each certificate has a loop of its own, so that one that is refused holds up no other. What was in service stays
/// there whatever the plane does; nothing is handed out that was not checked and is not on the disk.
package actor CertificateRenewer: QueueConfined {
    package nonisolated let queue = SerialQueue(label: "certificates")

    let configuration: CertificatesConfiguration
    let plane: PlaneClient?
    let receiver: CertificateReceiver
    let reports: CertificateReports
    let keys: KeyTokens
    let trustStore: TrustStore
    let joinSource: JoinSource?
    let recovery: RecoveryStore
    /// The node identity first; none without management.
    let managed: [ManagedCertificate]
    let files: [FileCertificate]

    /// Of roles, where they are told from elsewhere.
    var names: [String: RoleNames]
    var trust: StoredTrust?
    /// A bundle that may be used, and what was learned about its plane so far.
    var joining: Joining?
    /// What the plane's client was last given.
    var applied: AppliedCredentials?
    var trustRefreshed = -Double.infinity
    /// The plane has said that what it hands out is new, and it was not fetched since.
    var hasTrustNews = false
    var newsPause = CertificateRenewer.newsPauses.lowerBound
    /// What the plane handed out last: for building chains, trusted for nothing.
    var hints: [Certificate] = []
    var trustMachine: TrustStateMachine
    var ledger: IssuanceLedger
    /// For the labels of their lanes: two may be under way at once.
    var provisionalCalls = 0
    private var isStopped = false
    private nonisolated let watchAlarm = Alarm(label: "certificates")
    nonisolated let trustAlarm = Alarm(label: "certificates.trust")
    nonisolated let recoveryAlarm = Alarm(label: "certificates.recovery")

    /// `plane`: this job alone replaces its credentials; nil exactly if the configuration has no management.
    package init(
        _ configuration: CertificatesConfiguration, plane: PlaneClient?, receiver: CertificateReceiver,
        publications: PublicationStates = PublicationStates(), health: HealthBoard, metrics: Metrics,
        audit: AuditReporter
    ) {
        precondition(
            (plane == nil) == (configuration.management == nil), "a plane's client goes with its configuration")
        self.configuration = configuration
        names = configuration.names
        self.plane = plane
        self.receiver = receiver
        let reports = CertificateReports(health, audit, metrics, publications)
        self.reports = reports
        let state = configuration.stateDirectory
        let keys = KeyTokens(
            stores: ([configuration.key] + configuration.roles.compactMap(\.key)).compactMap(\.store),
            stateDirectory: state, metrics: metrics, program: configuration.tokenProgram
        ) { reports.tokenChanged($0) }
        self.keys = keys
        trustStore = TrustStore(stateDirectory: state)
        recovery = RecoveryStore(stateDirectory: state)
        ledger = IssuanceLedger(stateDirectory: state)
        trustMachine = TrustStateMachine(delay: configuration.rebootstrapDelay)
        joinSource = configuration.management.map { JoinSource(path: $0.joinFile, stateDirectory: state) }
        var managed: [ManagedCertificate] = []
        var files: [FileCertificate] = []
        func manage(_ role: String, _ key: KeyRule?) {
            managed.append(
                ManagedCertificate(
                    role: role, key: key ?? configuration.key, keys: keys, stateDirectory: state,
                    retryBase: configuration.retryBase, limits: configuration.limits))
        }
        if plane != nil { manage(RoleConfiguration.node, nil) }
        for role in configuration.roles {
            switch role.source {
            case .enrolled: manage(role.name, role.key)
            case .files(let chain, let key):
                files.append(FileCertificate(role: role.name, chainPath: chain, keyPath: key))
            }
        }
        self.managed = managed
        self.files = files
    }

    /// The cluster as the configuration, a former join or the bundle says.
    package var membership: Membership? { trust?.membership }

    // MARK: life

    /// Puts into service what lies on the disk. Damage becomes a health reason, never a failure to start.
    package func start() async {
        for certificate in managed { reports.prepare(role: certificate.role) }
        plane?.trustNews.tell { [weak self] in self?.submit { $0.trustNewsCame() } }
        loadTrust()
        loadLedger()
        await keys.start()
        for certificate in managed { load(certificate) }
        node?.machine.recoveryChanged(isPossible: recovery.isRegistered)
        let found = readFiles()
        for (role, identity) in found.new { receiver.identity(role, identity) }
        adopt(found)
        lookForBundle()
        await applyCredentials()
        for certificate in managed {
            guard let time = certificate.store.draft.postponedUntil, isDraftWanted(of: certificate) else { continue }
            certificate.machine.deferralRestored(until: time, at: now)
            if certificate.machine.phase(at: now) == .pending {
                reports.pending(until: time, role: certificate.role, isServed: certificate.isValid(at: now))
            }
        }
        report()
    }

    /// Keeps all certificates until `stop` is called or the task is cancelled.
    package func run() async {
        let names = managed.map(\.role)
        await withTaskGroup(of: Void.self) { group in
            for name in names { group.addTask { await self.keep(name) } }
            if plane != nil {
                group.addTask { await self.keepTrust() }
                group.addTask { await self.keepRecoveryKey() }
            }
            group.addTask { await self.keys.run() }
            group.addTask { await self.watch() }
            // Whichever ends first: the job is to end, and requests under way with it.
            _ = await group.next()
            group.cancelAll()
        }
    }

    package func stop() {
        isStopped = true
        watchAlarm.ring()
    }

    package enum RenewalAnswer: Sendable, Equatable {
        case begun
        case unknownRole
        case refused(String)
    }

    package func renew(role: String) -> RenewalAnswer {
        if files.contains(where: { $0.role == role }) {
            return .refused(
                "the certificate of \(role) is brought in files: replace them, and it is taken up by itself")
        }
        guard let certificate = managed.first(where: { $0.role == role }) else { return .unknownRole }
        let isHeldBack = [.limited, .pending].contains(certificate.machine.phase(at: now))
        guard certificate.isValid(at: now) || isHeldBack else {
            return .refused(
                "\(role) has no valid certificate that could be renewed; it is asked for as soon as it can be")
        }
        certificate.demandRenewal()
        certificate.alarm.ring()
        return .begun
    }

    var isEnding: Bool { isStopped || Task.isCancelled }

    private func keep(_ role: String) async {
        guard let certificate = managed.first(where: { $0.role == role }) else { return }
        while !isEnding {
            let action = certificate.machine.nextAction(at: now)
            report()
            switch action {
            case .waitForCredentials: _ = await certificate.alarm.wait(for: .seconds(3600))
            case .wait(let time): _ = await certificate.alarm.wait(untilUnixSeconds: time)
            case .bootstrap: await bootstrap(certificate)
            case .enroll: await request(certificate, isRenewal: false)
            case .renew: await request(certificate, isRenewal: true)
            case .recover: await request(certificate, isRenewal: true, recovers: true)
            }
        }
    }

    private func watch() async {
        while !isEnding {
            _ = await watchAlarm.wait(for: configuration.pollInterval)
            lookForBundle()
            if isFileDue { receiver.filesDue() }
            await applyCredentials()
            report()
        }
    }

    // MARK: what lies on the disk

    private func loadLedger() {
        guard plane != nil else { return }
        do throws(StoreError) {
            if let damage = try ledger.load() {
                reports.quarantined(reason: damage.reason, place: damage.place, what: IssuanceLedger.name)
            }
        } catch {
            unreadable(error, what: IssuanceLedger.name)
        }
        for certificate in managed {
            certificate.machine.issuancesRestored(ledger.issuances(of: certificate.role), at: now)
        }
    }

    private func loadTrust() {
        guard plane != nil else { return }
        do throws(StoreError) {
            let loaded = try trustStore.load()
            for damage in loaded.damage { reports.quarantined(damage, what: "trust") }
            guard let stored = loaded.trust else { return }
            trust = stored
            receiver.membership(stored.membership)
            receiver.trust(stored.anchors)
        } catch {
            unreadable(error, what: "trust")
        }
    }

    private func load(_ certificate: ManagedCertificate) {
        do throws(StoreError) {
            let loaded = try certificate.store.load()
            for damage in loaded.damage {
                reports.quarantined(damage, what: CertificateReports.subject(certificate.role))
            }
            guard let stored = loaded.certificate else { return }
            take(stored, for: certificate, isNew: false)
            if let wish = wish(for: certificate), wish.difference(from: stored.identity.leaf) != nil {
                certificate.machine.renewalDemanded()
            }
        } catch {
            unreadable(error, what: CertificateReports.subject(certificate.role))
        }
    }

    func unreadable(_ error: StoreError, what: String) {
        reports.raise(
            HealthReason(
                "CERTIFICATE_STORE_NOT_READABLE", .error, subject: what, detail: error.description,
                action: "check that the state folder belongs to the service, then restart it"))
    }

    // MARK: into service

    /// The certificate is on the disk: from now on it is the one.
    func take(_ stored: StoredCertificate, for certificate: ManagedCertificate, isNew: Bool) {
        let leaf = stored.identity.leaf
        certificate.stored = stored
        if isNew { noteOrder(of: certificate, leaf) }
        certificate.machine.certificateTaken(
            Validity(leaf), jitter: RenewalJitter.fraction(node: configuration.node, serial: leaf.serial),
            random: .random(in: 0..<1), isNew: isNew, at: now)
        guard Double(leaf.notAfter) > now else { return }
        handOut(certificate)
        reports.published(leaf, role: certificate.role, generation: stored.generation)
        reports.arrived(leaf, role: certificate.role, isOld: certificate.machine.isOldOnArrival)
    }

    /// With what goes with its chain at this time.
    func handOut(_ certificate: ManagedCertificate) {
        guard !certificate.isNode, let stored = certificate.stored?.identity else { return }
        let chain = Succession.shown(stored.chain, trust?.crossCertificates ?? [])
        // A chain that would be too long is shown as it was issued.
        let identity = chain == stored.chain ? stored : (try? TLSIdentity(chain: chain, key: stored.key)) ?? stored
        receiver.identity(certificate.role, identity)
        receiver.inService(certificate.role, identity)
    }

    func report() {
        let now = now
        let fileRows = files.map { file in
            CertificateReports.Row(
                role: file.role, phase: phase(of: file), leaf: file.identity?.leaf, generation: file.generation,
                nextRenewal: nil, renewalCause: nil, lastProblem: nil, isFromFiles: true,
                keyPlace: PrivateKey.placeOfFiles)
        }
        let rows = managed.map { $0.row(at: now) } + fileRows
        for certificate in managed {
            reports.limited(until: certificate.machine.limitedUntil(at: now), role: certificate.role)
        }
        reports.publish(
            rows, trust: trust?.anchors, needsIdentity: configuration.roles.isEmpty, at: seconds)
    }

    private func phase(of file: FileCertificate) -> RenewalStateMachine.Phase {
        guard let leaf = file.identity?.leaf else { return .unenrolled }
        return leaf.notAfter > seconds ? .active : .expired
    }

    // MARK: values

    nonisolated var now: Double { Double(Timestamp.now.nanoseconds) / 1e9 }
    nonisolated var seconds: Int64 { Timestamp.now.seconds }
    var node: ManagedCertificate? { managed.first { $0.isNode } }
}
