import IO
import OpenSSL
import Reports
import Synchronization

/// What the certificates job says of itself: one place for its codes, events and words.
final class CertificateReports: Sendable {
    static let condition = "certificates"
    static let section = "certificates"
    /// The subject of what concerns all certificates at once.
    private static let plane = "plane"

    /// One certificate as it is shown.
    struct Row: Sendable {
        let role: String
        let phase: RenewalStateMachine.Phase
        let leaf: Certificate?
        let generation: Int
        let nextRenewal: Double?
        let renewalCause: RenewalStateMachine.Cause?
        let lastProblem: CertificateProblem?
        let isFromFiles: Bool
        /// Where its private key lives.
        let keyPlace: String
        /// An identity that has expired gives itself another.
        var recovers = false
    }

    let board: HealthBoard
    let audit: AuditReporter
    private let figures: CertificateFigures
    private let publications: PublicationStates
    /// The code that is up for each subject.
    private let problems = Mutex<[String: String]>([:])

    init(_ board: HealthBoard, _ audit: AuditReporter, _ metrics: Metrics, _ publications: PublicationStates) {
        self.board = board
        self.audit = audit
        self.publications = publications
        figures = CertificateFigures(metrics)
    }

    func prepare(role: String) { figures.prepare(role: role) }

    // MARK: what happened

    func issued(_ leaf: Certificate, role: String, isFirst: Bool) {
        figures.issued(role: role)
        audit.report(
            AuditEvent(
                isFirst ? .certificateEnrolled : .certificateRenewed,
                fields: [
                    "role": .string(role), "subject": .string(leaf.subject), "issuer": .string(leaf.issuer),
                    "serial": .string(leaf.serial), "not_after": .string(Timestamp(seconds: leaf.notAfter).description),
                ]))
    }

    func published(_ leaf: Certificate, role: String, generation: Int) {
        figures.served(role: role, until: leaf.notAfter)
        audit.report(
            AuditEvent(
                .certificatePublished,
                fields: [
                    "role": .string(role), "serial": .string(leaf.serial), "generation": .count(generation),
                ]))
    }

    func trustChanged(_ trust: TrustAnchors) {
        let fingerprints = trust.certificates.map { Hexadecimal.text($0.fingerprint) }
        audit.report(AuditEvent(.trustChanged, fields: ["fingerprints": .strings(fingerprints)]))
    }

    func quarantined(reason: String, place: String, what: String) {
        audit.report(
            AuditEvent(
                .stateQuarantined, .failure,
                fields: ["what": .string(what), "reason": .string(reason), "folder": .string(place)]))
        board.raise(
            HealthReason(
                "CERTIFICATE_QUARANTINED", .warn, subject: what, detail: "\(what) cannot be used: \(reason)",
                action: "look into \(place), find out what damaged it, and remove it"))
    }

    func quarantined(_ damage: GenerationFolder.Damage, what: String) {
        audit.report(
            AuditEvent(
                .stateQuarantined, .failure,
                fields: ["what": .string(what), "reason": .string(damage.reason), "folder": .string(damage.folder)]))
        board.raise(
            HealthReason(
                "CERTIFICATE_QUARANTINED", .warn, subject: what,
                detail: "generation \(damage.generation) of \(what) cannot be used: \(damage.reason)",
                action: "look into \(damage.folder), find out what damaged it, and remove it"))
    }

    // MARK: problems

    func failed(_ problem: CertificateProblem, role: String) {
        figures.failed(role: role)
        audit.report(
            AuditEvent(
                .certificateFailed, .failure,
                fields: [
                    "role": .string(role), "class": .string(problem.failure.rawValue),
                    "reason": .string(problem.detail),
                ]))
        let isAboutPlane = problem.failure.isAboutPlane
        if !isAboutPlane, problem.failure != .local { planeAnswered() }
        raise(
            HealthReason(
                problem.code, problem.severity, subject: isAboutPlane ? Self.plane : Self.subject(role),
                detail: problem.detail, action: problem.action))
    }

    /// Whatever it said, it is there.
    func planeAnswered() { clear(subject: Self.plane) }

    /// One problem at a time for each subject: the newest.
    func raise(_ reason: HealthReason) {
        let before = problems.withLock { $0.updateValue(reason.code, forKey: reason.subject) }
        if let before, before != reason.code { board.clear(before, subject: reason.subject) }
        board.raise(reason)
    }

    func clear(role: String) { clear(subject: Self.subject(role)) }

    func clear(subject: String) {
        if let code = problems.withLock({ $0.removeValue(forKey: subject) }) { board.clear(code, subject: subject) }
    }

    static func subject(_ role: String) -> String { role == RoleConfiguration.node ? role : "role \(role)" }

    // MARK: the clock

    /// `difference`: ours less the server's, in seconds. The server's word is a hint, never believed.
    func clockCompared(difference: Int64) {
        guard abs(difference) > IssuedCertificateCheck.skewLimit else { return board.clear("CLOCK_SKEW") }
        board.raise(
            HealthReason(
                "CLOCK_SKEW", .warn,
                detail:
                    "this node's clock is \(abs(difference)) s \(difference > 0 ? "ahead of" : "behind") the plane's",
                action: "set the clock (timedatectl), and keep it right with chrony or systemd-timesyncd"))
    }

    // MARK: the state

    func publish(_ rows: [Row], trust: TrustAnchors?, needsIdentity: Bool, at now: Int64) {
        for row in rows { reportExpiry(row, at: now) }
        let served = rows.filter { $0.role != RoleConfiguration.node || needsIdentity }
        let missing = served.filter { row in row.leaf.map { $0.notAfter <= now } ?? true }
        board.set(
            ReadinessCondition(
                Self.condition, isMet: missing.isEmpty,
                detail: missing.isEmpty
                    ? "each role has a valid certificate"
                    : "no valid certificate for \(missing.map(\.role).joined(separator: ", "))"))
        var members: [String: JSONValue] = [
            "roles": .array(rows.map(json)),
            "trust": .array((trust?.certificates ?? []).map { .string($0.subject) }),
        ]
        // A node without a plane has no identity of its own.
        if let node = rows.first(where: { $0.role == RoleConfiguration.node }) {
            members["identity"] = .string(IdentityState(node.phase, failure: node.lastProblem?.failure).rawValue)
        }
        board.publish(section: Self.section, .object(members))
    }

    private func reportExpiry(_ row: Row, at now: Int64) {
        let subject = Self.subject(row.role)
        guard let leaf = row.leaf else { return }
        let validity = Validity(leaf)
        let left = leaf.notAfter - now
        if left <= 0 {
            board.clear("CERTIFICATE_EXPIRES_SOON", subject: subject)
            let consequence =
                row.role == RoleConfiguration.node
                ? "the plane is out of reach for this node" : "its ports refuse clients"
            board.raise(
                HealthReason(
                    "CERTIFICATE_EXPIRED", .error, subject: subject,
                    detail: "the certificate expired at \(Timestamp(seconds: leaf.notAfter)); \(consequence)",
                    action: Self.remedy(row)))
            return
        }
        board.clear("CERTIFICATE_EXPIRED", subject: subject)
        guard Double(now) >= validity.warningTime else {
            return board.clear("CERTIFICATE_EXPIRES_SOON", subject: subject)
        }
        board.raise(
            HealthReason(
                "CERTIFICATE_EXPIRES_SOON", Double(left) < min(86_400, validity.life / 30) ? .error : .warn,
                subject: subject,
                detail: "the certificate expires at \(Timestamp(seconds: leaf.notAfter)), in \(Self.span(left))",
                action: Self.remedy(row)))
    }

    private static func remedy(_ row: Row) -> String {
        if row.isFromFiles { return "put a new certificate and key into the files of the role" }
        if row.recovers, row.phase != .locked {
            return "none: the node proves itself by its recovery key as soon as the plane can be reached"
        }
        if row.role == RoleConfiguration.node, [.expired, .locked].contains(row.phase) {
            return "make a new bundle with nodeguard-plane token create, and give it to nodeguard join"
        }
        return "see the other reasons for why it was not renewed; nodeguard certificates renew \(row.role) tries again"
    }

    /// In steps, so that the text changes when it says something new: under 30, 14, 7 days, each day, hours.
    private static func span(_ seconds: Int64) -> String {
        let days = seconds / 86_400
        if days >= 7 { return "less than \(days < 14 ? 14 : 30) days" }
        if days >= 1 { return "less than \(days + 1) days" }
        return seconds >= 3600 ? "less than \(seconds / 3600 + 1) hours" : "less than an hour"
    }

    private func json(_ row: Row) -> JSONValue {
        var members: [String: JSONValue] = [
            "role": .string(row.role), "state": .string(row.phase.rawValue),
            "source": .string(row.isFromFiles ? "files" : "plane"), "key_store": .string(row.keyPlace),
        ]
        if let leaf = row.leaf {
            members["subject"] = .string(leaf.subject)
            members["names"] = .strings(leaf.allNames)
            members["fingerprint"] = .string(Hexadecimal.text(leaf.fingerprint))
            members["serial"] = .string(leaf.serial)
            members["issuer"] = .string(leaf.issuer)
            members["not_before"] = .string(Timestamp(seconds: leaf.notBefore).description)
            members["not_after"] = .string(Timestamp(seconds: leaf.notAfter).description)
            members["generation"] = .count(row.generation)
        }
        if let next = row.nextRenewal { members["next_renewal"] = .string(Timestamp(seconds: Int64(next)).description) }
        if let cause = row.renewalCause { members["renewal_cause"] = .string(cause.rawValue) }
        if let problem = row.lastProblem {
            members["last_error"] = .string(problem.detail)
            members["last_error_class"] = .string(problem.failure.rawValue)
        }
        if let publication = publications[row.role] { members["publication"] = publication }
        return .object(members)
    }
}

extension Certificate {
    /// DNS names, addresses and URIs, as people write them.
    fileprivate var allNames: [String] {
        dnsNames + addresses.compactMap(SocketAddress.host) + uris
    }
}

extension Validity {
    init(_ certificate: Certificate) {
        self.init(notBefore: Double(certificate.notBefore), notAfter: Double(certificate.notAfter))
    }
}
