import PlaneAPI
import PlaneClient
import Reports

/// Why a certificate could not be had, as the operator is to see it and as the state machine is to take it.
struct CertificateProblem: Error, Sendable {
    let failure: RenewalStateMachine.Failure
    let code: String
    let severity: Severity
    var detail: String
    let action: String
    var retryAfter: Double?
    /// The plane's, in seconds since 1970; a hint.
    var serverTime: Int64?
    /// 202: not a failure.
    var isPending = false

    init(
        _ failure: RenewalStateMachine.Failure, _ code: String, _ severity: Severity, _ detail: String,
        action: String, retryAfter: Double? = nil
    ) {
        self.failure = failure
        self.code = code
        self.severity = severity
        self.detail = detail
        self.action = action
        self.retryAfter = retryAfter
    }

    init(_ error: StoreError) {
        self.init(
            .local, "CERTIFICATE_STORE_NOT_WRITABLE", .error, error.description,
            action: "make room on the disk of the state folder, and check that it belongs to the service")
    }

    /// `place`: of the key.
    static func keyStore(_ place: String, _ detail: String) -> CertificateProblem {
        CertificateProblem(
            .local, "KEY_STORE_UNAVAILABLE", .error, "no key can be made in \(place): \(detail)",
            action: "see the reason about that token; what was in service stays")
    }

    static func keyRefused(_ place: String, _ detail: String) -> CertificateProblem {
        CertificateProblem(
            .local, "KEY_REFUSED", .error, "no key can be made in \(place): \(detail)",
            action: "correct certificates: key: kind, or what the token permits; what was in service stays")
    }

    static func unusableCertificate(_ detail: String) -> CertificateProblem {
        CertificateProblem(
            .unusableCertificate, "CERTIFICATE_UNUSABLE", .error,
            "the certificate that was issued is refused: \(detail)",
            action: "correct the authority's profile for this node; the certificate before stays in service")
    }

    static func unmet(_ detail: String) -> CertificateProblem {
        CertificateProblem(
            .unmet, "CERTIFICATE_DEMAND_UNMET", .error, detail,
            action: "let the EST server do without it for this label; what was in service stays")
    }

    /// `difference`: our clock less the plane's.
    static func skewed(_ problem: CertificateProblem, by difference: Int64) -> CertificateProblem {
        CertificateProblem(
            .skewed, "CLOCK_SKEW_REFUSED", .error,
            "\(problem.detail); this node's clock is \(abs(difference)) s \(difference > 0 ? "ahead of" : "behind") "
                + "the plane's, which may be why",
            action: "set the clock (timedatectl), and keep it right with chrony or systemd-timesyncd")
    }

    static func pinMismatch(_ pins: [String], found: [String]) -> CertificateProblem {
        let seen = found.isEmpty ? "no root at all" : found.joined(separator: ", ")
        return CertificateProblem(
            .pinMismatch, "JOIN_PIN_MISMATCH", .error,
            "the plane does not have the root of the join bundle (\(pins.joined(separator: ", "))), but \(seen); "
                + "the token was not sent",
            action: "check management: url; if the plane is new, make a new bundle with nodeguard-plane token create")
    }
}

// MARK: the plane's answers

extension CertificateProblem {
    enum Credential: Sendable {
        case token, identity, recovery
    }

    private static let newBundle = "make a new bundle with nodeguard-plane token create, and give it to nodeguard join"

    /// The class of an answer decides what is done about it.
    init(_ error: PlaneError, shown credential: Credential) {
        self = Self.kind(of: error, shown: credential)
        retryAfter = error.retryAfter.map { Double($0.components.seconds) }
        serverTime = error.serverTime
        isPending = error.kind == .pending
    }

    private static func kind(of error: PlaneError, shown credential: Credential) -> CertificateProblem {
        switch error.kind {
        case _ where credential == .recovery && error.reason == Recovery.locked:
            CertificateProblem(
                .locked, "NODE_LOCKED", .error, "the plane gives this node no identity by itself: \(error.detail)",
                action: newBundle)
        case .unauthorized where credential == .recovery, .denied where credential == .recovery:
            CertificateProblem(
                .recoveryRefused, "NODE_RECOVERY_REFUSED", .error,
                "the plane does not take the proof of the recovery key: \(error.detail)", action: newBundle)
        case .configuration where credential == .recovery:
            CertificateProblem(
                .recoveryUnknown, "NODE_RECOVERY_UNKNOWN", .error,
                "the identity has expired, and this plane knows no recovery: \(error.detail)", action: newBundle)
        case .unauthorized where credential == .token: tokenRefused(error)
        case .denied where credential == .token:
            CertificateProblem(
                .tokenDenied, "JOIN_TOKEN_REFUSED", .error,
                "the plane does not let this token enrol the node: \(error.detail)", action: newBundle)
        case .unauthorized, .identityRefused:
            CertificateProblem(
                error.kind == .unauthorized ? .unauthorized : .identityRefused, "NODE_IDENTITY_REFUSED", .error,
                "the plane does not accept this node's identity: \(error.detail)",
                action: "if the node is to stay, \(newBundle)")
        case .denied:
            CertificateProblem(
                .denied, "CERTIFICATE_DENIED", .error, error.detail,
                action: "allow it at the plane (nodeguard-plane role allow), or correct certificates: roles:")
        case .untrusted:
            CertificateProblem(
                .untrusted, "PLANE_UNTRUSTED", .error,
                "the plane is not certified by an authority of ours: \(error.detail)",
                action: "check management: url, this node's clock and the plane's certificate")
        case .unreachable, .failing, .throttled, .busy, .pending: later(error)
        case .request, .configuration, .redirect, .protocolError, .tooLarge, .conflict: wrong(error)
        }
    }

    private static func tokenRefused(_ error: PlaneError) -> CertificateProblem {
        let isFinal = error.reason.map { ["token-spent", "token-expired", "token-unknown"].contains($0) } ?? false
        return CertificateProblem(
            isFinal ? .tokenSpent : .tokenRefused, "JOIN_TOKEN_REFUSED", .error,
            "the plane does not accept the join token: \(error.detail)", action: newBundle)
    }

    /// Time may mend it.
    private static func later(_ error: PlaneError) -> CertificateProblem {
        let patience = "none: it is asked again later"
        return switch error.kind {
        case .failing:
            CertificateProblem(
                .failing, "PLANE_FAILING", .warn, error.detail,
                action: "look into the plane's log; the ports go on serving")
        case .busy: CertificateProblem(.busy, "PLANE_BUSY", .warn, error.detail, action: patience)
        case .throttled, .pending: CertificateProblem(.throttled, "PLANE_BUSY", .warn, error.detail, action: patience)
        default:
            CertificateProblem(
                .unreachable, "PLANE_UNREACHABLE", .warn, error.detail,
                action: "check the management plane and the way to it; the ports go on serving")
        }
    }

    /// Somebody has to mend it.
    private static func wrong(_ error: PlaneError) -> CertificateProblem {
        switch error.kind {
        case .request:
            CertificateProblem(
                .request, "CERTIFICATE_REQUEST_REFUSED", .error, error.detail,
                action: "correct what certificates: asks for, or what the plane allows; a new request is made once")
        case .configuration:
            CertificateProblem(
                .configuration, "PLANE_CALL_UNKNOWN", .error, error.detail,
                action: "check management: url and est:, and that the cluster exists at the plane")
        case .redirect:
            CertificateProblem(
                .redirected, "PLANE_REDIRECTS", .error, error.detail,
                action: "if that is where the EST server is, say so in management: est: url")
        default:
            CertificateProblem(
                .unusableAnswer, "PLANE_ANSWER_UNUSABLE", .error, error.detail,
                action: "check that management: url is an EST server (RFC 7030)")
        }
    }
}
