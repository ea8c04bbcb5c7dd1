import OpenSSL

/// How a relayed connection ended; the raw value is the audit event's `reason`.
enum CloseReason: String, Sendable {
    case finished, truncated, idle, killed, drained, stopped
    case clientFailed = "client-failed"
    case backendFailed = "backend-failed"
    case tlsFailed = "tls-failed"
    case keyUpdateFlood = "key-update-flood"
    /// TLS to the database failed, or the database left without ending it.
    case backendTLSFailed = "backend-tls-failed"
    case certificateExpired = "certificate-expired"
    case untrusted = "no-longer-trusted"
    case revoked
    case revocationUnknown = "revocation-unknown"
    case denied
    case notAllowed = "no-longer-allowed"
    case stalled = "half-closed-without-progress"
}

extension CloseReason {
    /// What a PostgreSQL client reads when the proxy ends its session, as it would of its own server (57P01,
    /// admin_shutdown); nil where the connection ends by itself. `certificate`: whose is said to have expired.
    func words(of certificate: String = "client certificate") -> PostgresError? {
        let message: String
        switch self {
        case .drained: message = "this node's proxy is stopping"
        case .killed: message = "terminating connection due to administrator command"
        case .certificateExpired: message = "the \(certificate) of this connection has expired"
        case .untrusted: message = "the \(certificate) of this connection is no longer trusted"
        case .revoked: message = "the \(certificate) of this connection has been revoked"
        case .revocationUnknown: message = "nobody can tell whether the certificate of this connection is revoked"
        case .denied: message = "the \(certificate) of this connection is denied"
        case .notAllowed: message = "the \(certificate) of this connection is no longer allowed"
        case .finished, .truncated, .idle, .stopped, .clientFailed, .backendFailed, .tlsFailed, .keyUpdateFlood,
            .backendTLSFailed,
            .stalled:
            return nil
        }
        return PostgresError(code: "57P01", message: message)
    }

    /// The peer may not go on: neither an operator's wish nor its own end.
    var isRefusal: Bool {
        switch self {
        case .certificateExpired, .untrusted, .revoked, .revocationUnknown, .denied, .notAllowed: true
        default: false
        }
    }
}

extension CloseReason {
    /// Why a chain that was verified before is not any more.
    init(_ failure: TLSFailure) {
        self =
            switch failure.kind {
            case .revoked: .revoked
            case .revocationUnknown: .revocationUnknown
            default: .untrusted
            }
    }
}
