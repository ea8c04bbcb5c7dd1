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

    static func unusableCertificate(_ detail: String) -> CertificateProblem {
        CertificateProblem(
            .unusableCertificate, "CERTIFICATE_UNUSABLE", .error,
            "the certificate that was issued is refused: \(detail)",
            action: "correct the authority's profile for this node; the certificate before stays in service")
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
        case token, identity
    }

    /// The class of an answer decides what is done about it.
    init(_ error: PlaneError, shown credential: Credential) {
        let retryAfter = error.retryAfter.map { Double($0.components.seconds) }
        switch error.kind {
        case .unauthorized where credential == .token:
            let isFinal = error.reason.map { ["token-spent", "token-expired", "token-unknown"].contains($0) } ?? false
            self.init(
                isFinal ? .tokenSpent : .tokenRefused, "JOIN_TOKEN_REFUSED", .error,
                "the plane does not accept the join token: \(error.detail)",
                action: "make a new bundle with nodeguard-plane token create, and give it to nodeguard join")
        case .unauthorized, .identityRefused:
            self.init(
                .identityRefused, "NODE_IDENTITY_REFUSED", .error,
                "the plane does not accept this node's identity: \(error.detail)",
                action: "if the node is to stay, make a new bundle with nodeguard-plane token create")
        case .denied:
            self.init(
                .denied, "CERTIFICATE_DENIED", .error, error.detail,
                action: "allow it at the plane (nodeguard-plane role allow), or correct certificates: roles:",
                retryAfter: retryAfter)
        case .untrusted:
            self.init(
                .untrusted, "PLANE_UNTRUSTED", .error,
                "the plane is not certified by an authority of ours: \(error.detail)",
                action: "check management: url, this node's clock and the plane's certificate")
        case .unreachable:
            self.init(
                .unreachable, "PLANE_UNREACHABLE", .warn, error.detail,
                action: "check the management plane and the way to it; the ports go on serving", retryAfter: retryAfter)
        case .throttled, .pending:
            self.init(
                .throttled, "PLANE_BUSY", .warn, error.detail, action: "none: it is asked again later",
                retryAfter: retryAfter)
            isPending = error.kind == .pending
        case .request:
            self.init(
                .request, "CERTIFICATE_REQUEST_REFUSED", .error, error.detail,
                action: "correct what certificates: asks for; a new request is made")
        case .configuration:
            self.init(
                .configuration, "PLANE_CALL_UNKNOWN", .error, error.detail,
                action: "check management: url and est:, and that the cluster exists at the plane")
        case .protocolError, .tooLarge, .conflict:
            self.init(
                .unusableAnswer, "PLANE_ANSWER_UNUSABLE", .error, error.detail,
                action: "check that management: url is an EST server (RFC 7030)")
        }
    }
}
