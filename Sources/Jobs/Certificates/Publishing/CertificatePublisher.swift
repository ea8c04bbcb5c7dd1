import IO
import OpenSSL
import Reports

/// Sees to it that the certificates of roles with `publish:` are in the files of others and are served from there.
///
/// Who writes the files is this job itself, or a unit with the rights to do so: a sandboxed daemon rings for it by a
/// file that `nodeguard-publish.path` watches, and reads how it went.
package actor CertificatePublisher: QueueConfined {
    package nonisolated let queue = SerialQueue(label: "publish", isPatient: true)
    /// What a unit may take beyond the reload command.
    private static let slack = 30.0
    private static let checkLimit = Duration.seconds(10)
    /// How often it is looked whether somebody else has published.
    private static let hearing = 2.0

    private let stateDirectory: String
    private let isSupervised: Bool
    private let times: PublicationStateMachine.Times
    /// All of the node's, published or not.
    private let configured: [RoleConfiguration]
    private var roles: [PublishedRole] = []
    private var identities: [String: TLSIdentity] = [:]
    private var authorities: [Certificate]?
    private var isPrepared = false
    private let states: PublicationStates
    private let reports: PublicationReports
    private nonisolated let alarm = Alarm(label: "publish")
    private let origin = ContinuousClock.now

    /// `isSupervised`: by systemd, which has units.
    package init(
        _ configuration: CertificatesConfiguration, isSupervised: Bool, states: PublicationStates,
        times: PublicationStateMachine.Times = PublicationStateMachine.Times(), health: HealthBoard, metrics: Metrics,
        audit: AuditReporter
    ) {
        stateDirectory = configuration.stateDirectory
        self.states = states
        self.isSupervised = isSupervised
        self.times = times
        configured = configuration.roles
        reports = PublicationReports(health, audit, metrics)
        roles = configured.compactMap { role in
            role.publication.map { Self.made(role, $0, isSupervised: isSupervised, times) }
        }
    }

    /// Of each role that is published from now on, of those that there were at the start. From any thread; a reload
    /// command or a check that has begun ends first.
    package nonisolated func replace(_ publications: [String: PublicationConfiguration]) {
        submit { $0.take(publications) }
    }

    private func take(_ publications: [String: PublicationConfiguration]) {
        let before = roles
        roles = configured.compactMap { role in
            let old = before.first { $0.role.name == role.name }
            guard let publication = publications[role.name] else {
                if old != nil { forget(role.name) }
                return nil
            }
            if let old, old.configuration == publication { return old }
            var role = role
            role.publication = publication
            reports.forget(role.name)
            let new = Self.made(role, publication, isSupervised: isSupervised, times)
            (new.identity, new.authorities) = (identities[role.name], authorities)
            if let digest = new.digest { new.machine.taken(digest) }
            return new
        }
        // The others have been told already; what was said of the new ones is no answer to them.
        if isPrepared { prepare(roles.filter { role in !before.contains { $0 === role } }) }
        alarm.ring()
    }

    private func forget(_ role: String) {
        reports.forget(role)
        states.set(nil, of: role)
    }

    private static func made(
        _ role: RoleConfiguration, _ publication: PublicationConfiguration, isSupervised: Bool,
        _ times: PublicationStateMachine.Times
    ) -> PublishedRole {
        let isByUnit = publication.publisher == .auto ? isSupervised : publication.publisher == .unit
        let patience = Double(publication.reloadTimeout.components.seconds) + slack
        return PublishedRole(role, publication, isByUnit: isByUnit, patience: patience, times)
    }

    /// The role's certificate is in service.
    package nonisolated func taken(_ identity: TLSIdentity, ofRole name: String) {
        submit {
            $0.identities[name] = identity
            $0.take { if $0.role.name == name { $0.identity = identity } }
        }
    }

    /// The cluster's authorities.
    package nonisolated func taken(_ trust: TrustAnchors) {
        submit {
            $0.authorities = trust.certificates
            $0.take { $0.authorities = trust.certificates }
        }
    }

    private func take(_ change: (PublishedRole) -> Void) {
        for role in roles {
            change(role)
            if let digest = role.digest { role.machine.taken(digest) }
        }
        if !roles.isEmpty { alarm.ring() }
    }

    // MARK: life

    /// Until the task is cancelled; not before a reload command or a check that has begun is over.
    package func run() async {
        prepare(roles)
        isPrepared = true
        while !Task.isCancelled {
            var next = now + (roles.isEmpty ? 3600 : Self.hearing)
            for role in roles { next = min(next, advance(role)) }
            if await alarm.wait(for: .seconds(max(0.05, next - now))) == .cancelled { return }
        }
    }

    private var now: Double {
        let time = origin.duration(to: .now).components
        return Double(time.seconds) + Double(time.attoseconds) / 1e18
    }

    private var folder: String { "\(stateDirectory)/\(PublicationRecord.folder)" }

    private func prepare(_ roles: [PublishedRole]) {
        if roles.isEmpty { return }
        do { try Files.makeDirectory(folder, mode: 0o700) } catch {
            for role in roles { reports.failed(role.role.name, role.configuration, serial: nil, "\(error)") }
        }
        for role in roles {
            reports.prepare(role.role.name)
            // What was said before this daemon began is no answer to it.
            role.mark = FileMark(of: path(role))
            show(role)
        }
    }

    private func path(_ role: PublishedRole) -> String { "\(folder)/\(PublicationRecord.name(of: role.role.name))" }

    /// Does what is to be done for the role now; when to look again.
    private func advance(_ role: PublishedRole) -> Double {
        hear(role)
        while true {
            let action = role.machine.nextAction(at: now)
            switch action {
            case .wait(let time):
                show(role)
                return time
            case .publish:
                if let time = opening(of: role) { postpone(role, until: time) } else { publish(role) }
            case .missAnswer: missAnswer(role)
            case .check: check(role)
            }
        }
    }

    // MARK: publishing

    /// When its window opens, in seconds since 1970; nil: what is there may be replaced now.
    private func opening(of role: PublishedRole) -> Double? {
        guard let window = role.configuration.window, let material = role.material,
            let folder = try? OpenFolder(folder)
        else { return nil }
        let ordered = PublicationRecord.ordered(role.role.name, in: folder)
        return PublicationRecord.read(role.role.name, in: folder)?
            .opening(of: window, for: material, ordered: ordered, at: Double(Timestamp.now.nanoseconds) / 1e9)
    }

    private func postpone(_ role: PublishedRole, until time: Double) {
        role.machine.postponed(by: time - Double(Timestamp.now.nanoseconds) / 1e9, at: now)
        role.reason = "waits for its window until \(Timestamp(seconds: Int64(time)))"
        reports.postponed(role.role.name, role.configuration, until: Int64(time))
    }

    private func publish(_ role: PublishedRole) {
        role.machine.asked(at: now)
        show(role)
        do {
            // A reader that serves another one is to be told again though nothing is new.
            if role.mustTellAgain { try? Files.remove(path(role)) }
            role.mustTellAgain = false
            if role.isByUnit {
                try Files.write(
                    Array("\(Timestamp.now) \(role.role.name)\n".utf8), to: "\(folder)/request", mode: 0o600)
            } else if let publication = Publication(role.role, stateDirectory: stateDirectory) {
                take(try publication.run(), of: role)
                role.mark = FileMark(of: path(role))
            }
        } catch {
            role.machine.answered(.failed, nil, random: random, at: now)
            reports.failed(role.role.name, role.configuration, serial: nil, "\(error)")
            role.reason = "\(error)"
        }
    }

    /// Whoever published has written down how it went.
    private func hear(_ role: PublishedRole) {
        guard let mark = FileMark(of: path(role)), mark != role.mark, let folder = try? OpenFolder(folder) else {
            return
        }
        role.mark = mark
        if let record = PublicationRecord.read(role.role.name, in: folder) { take(record, of: role) }
    }

    private func take(_ record: PublicationRecord, of role: PublishedRole) {
        let answer: PublicationStateMachine.Answer =
            switch record.outcome {
            case .published: .published
            case .failed: .failed
            case .withheld: .withheld
            }
        role.machine.answered(answer, record.digest, random: random, at: now)
        role.reason = record.reason
        role.time = record.time
        reports.recorded(record, role.configuration)
    }

    private func missAnswer(_ role: PublishedRole) {
        role.machine.answerMissed(random: random, at: now)
        role.reason = "nodeguard-publish.service has not answered"
        reports.failed(
            role.role.name, role.configuration, serial: role.identity?.leaf.serial, role.reason ?? "",
            action: "systemctl enable --now nodeguard-publish.path, and see journalctl -u nodeguard-publish")
    }

    // MARK: checking

    private func check(_ role: PublishedRole) {
        guard let check = role.configuration.check, let leaf = role.identity?.leaf else { return }
        let name = role.role.name
        do throws(PublicationError) {
            let found = try ServedCertificate.leaf(shownBy: check, within: Self.checkLimit)
            let wasServed = role.machine.phase == .served
            role.served = found
            let isToldOf = role.machine.checked(found == leaf ? .served : .other, random: random, at: now)
            if found == leaf {
                role.reason = nil
                reports.served(leaf, name, role.configuration, isNew: !wasServed)
            } else if isToldOf {
                role.mustTellAgain = true
                role.reason = "\(check.address) serves \(found)"
                reports.servesAnother(found, insteadOf: leaf, name, role.configuration)
            }
        } catch {
            let isToldOf = role.machine.checked(.silent, random: random, at: now)
            (role.served, role.reason) = (nil, error.description)
            if isToldOf { reports.silent(error.description, name) }
        }
    }

    private var random: Double { .random(in: 0..<1) }

    private func show(_ role: PublishedRole) { states.set(role.document, of: role.role.name) }
}
