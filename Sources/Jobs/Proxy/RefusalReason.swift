import OpenSSL

/// Why a connection did not become a session; the raw value is the metric's label and the audit event's `reason`.
enum RefusalReason: String, Sendable, CaseIterable {
    // Admission.
    case banned, evicted, drained
    case addressRate = "address-rate"
    case handshakeRate = "handshake-rate"
    case connectionLimit = "connection-limit"
    case addressConnectionLimit = "address-connection-limit"
    case noDescriptors = "no-descriptors"
    case handshakeTimeout = "handshake-timeout"
    // Before TLS.
    case plaintext, probe
    case noProxyHeader = "no-proxy-header"
    case badProxyHeader = "bad-proxy-header"
    case clientLeft = "client-left"
    case malformedPreamble = "malformed-preamble"
    case stuffedPreamble = "stuffed-preamble"
    case repeatedRequest = "repeated-request"
    case tlsRequired = "tls-required"
    case unsupportedProtocol = "unsupported-protocol"
    case noCertificateYet = "no-certificate-yet"
    // TLS.
    case noPeerCertificate = "no-peer-certificate"
    case unknownIssuer = "unknown-issuer"
    case expired
    case notYetValid = "not-yet-valid"
    case wrongPurpose = "wrong-purpose"
    case authorityAsPeer = "authority-as-peer"
    case revoked
    case revocationUnknown = "revocation-unknown"
    case invalidCertificate = "invalid-certificate"
    case unknownServerName = "unknown-server-name"
    case tlsMismatch = "tls-mismatch"
    case tlsAlert = "tls-alert"
    case tlsFailure = "tls-failure"
    case noApplicationProtocol = "no-application-protocol"
    // Policy and backend.
    case noRule = "no-rule"
    case denied
    case userNotAllowed = "user-not-allowed"
    case databaseNotAllowed = "database-not-allowed"
    case replicationNotAllowed = "replication-not-allowed"
    case backendDown = "backend-down"
    /// The remote end of a tunnel.
    case remoteDown = "remote-down"
    /// It answers, but its certificate or its name is not accepted.
    case remoteRefused = "remote-refused"
    case backendExposed = "backend-exposed"
    case cancelUnmatched = "cancel-unmatched"

    /// Says nothing about an intention: not worth an audit event, only a number.
    var isNoise: Bool { self == .probe || self == .cancelUnmatched }

    /// Counts towards a ban of the address: a peer that speaks properly never meets these.
    var isHostile: Bool {
        switch self {
        case .malformedPreamble, .stuffedPreamble, .repeatedRequest, .plaintext, .tlsFailure, .unknownIssuer,
            .authorityAsPeer:
            true
        default: false
        }
    }
}

extension RefusalReason {
    init(_ objection: Objection) {
        self =
            switch objection {
            case .denied: .denied
            case .noRule: .noRule
            case .user: .userNotAllowed
            case .database: .databaseNotAllowed
            case .replication: .replicationNotAllowed
            }
    }

    init(_ failure: TLSFailure) {
        self =
            switch failure.kind {
            case .noCertificate: .noPeerCertificate
            case .unknownIssuer: .unknownIssuer
            case .expired: .expired
            case .notYetValid: .notYetValid
            case .revoked: .revoked
            case .revocationUnknown: .revocationUnknown
            case .wrongPurpose: .wrongPurpose
            case .authorityAsLeaf: .authorityAsPeer
            case .chainTooLong, .weakCertificate, .wrongName, .invalidCertificate: .invalidCertificate
            case .unknownServerName: .unknownServerName
            case .protocolMismatch: .tlsMismatch
            case .applicationProtocol: .noApplicationProtocol
            case .plaintextHTTP: .plaintext
            case .peerAlert: .tlsAlert
            case .truncated: .clientLeft
            case .garbage, .keyUpdateFlood, .other: .tlsFailure
            }
    }
}
