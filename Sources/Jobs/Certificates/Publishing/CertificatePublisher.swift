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
    private let roles: [PublishedRole]
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
        reports = PublicationReports(health, audit, metrics)
        roles = configuration.roles.compactMap { role in
            role.publication.map { publication in
                let isByUnit = publication.publisher == .auto ? isSupervised : publication.publisher == .unit
                let patience = Double(publication.reloadTimeout.components.seconds) + Self.slack
                return PublishedRole(role, publication, isByUnit: isByUnit, patience: patience, times)
            }
        }
    }

    /// The role's certificate is in service.
    package nonisolated func taken(_ identity: TLSIdentity, ofRole name: String) {
        submit { $0.take { if $0.role.name == name { $0.identity = identity } } }
    }

    /// The cluster's authorities.
    package nonisolated func taken(_ trust: TrustAnchors) {
        submit { $0.take { $0.authorities = trust.certificates } }
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
        if !roles.isEmpty { prepare() }
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

    private func prepare() {
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
            case .publish: publish(role)
            case .missAnswer: missAnswer(role)
            case .check: check(role)
            }
        }
    }

    // MARK: publishing

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

/// One role that is published: its machine, and what is known of it. Lives in the job's actor.
private final class PublishedRole {
    let role: RoleConfiguration
    let configuration: PublicationConfiguration
    let isByUnit: Bool
    var machine: PublicationStateMachine
    var identity: TLSIdentity?
    var authorities: [Certificate]?
    /// Of the record that was heard last.
    var mark: FileMark?
    var mustTellAgain = false
    var served: Certificate?
    var reason: String?
    /// When it was published last, in seconds since 1970.
    var time: Int64?

    init(
        _ role: RoleConfiguration, _ configuration: PublicationConfiguration, isByUnit: Bool, patience: Double,
        _ times: PublicationStateMachine.Times
    ) {
        (self.role, self.configuration, self.isByUnit) = (role, configuration, isByUnit)
        machine = PublicationStateMachine(hasCheck: configuration.check != nil, patience: patience, times: times)
    }

    /// nil: something of it is not there yet.
    var digest: String? {
        guard let identity else { return nil }
        guard configuration.names.authorities != nil else {
            return PublishedMaterial(identity: identity, authorities: nil).digest
        }
        return authorities.map { PublishedMaterial(identity: identity, authorities: $0).digest }
    }

    var document: JSONValue {
        var members: [String: JSONValue] = [
            "directory": .string(configuration.directory), "by": .string(isByUnit ? "unit" : "daemon"),
            "state": .string(machine.phase.rawValue),
        ]
        if let check = configuration.check { members["check"] = .string(check.address) }
        if let served {
            members["served_serial"] = .string(served.serial)
            members["served_fingerprint"] = .string(Hexadecimal.text(served.fingerprint))
        }
        if let reason { members["reason"] = .string(reason) }
        if let time { members["published_at"] = .string(Timestamp(seconds: time).description) }
        return .object(members)
    }
}
