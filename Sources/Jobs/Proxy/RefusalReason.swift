import OpenSSL

/// Why a connection did not become a session; the raw value is the metric's label and the audit event's `reason`.
enum RefusalReason: String, Sendable, CaseIterable {
    // Admission.
    case banned, evicted, drained
    case addressRate = "address-rate"
    case handshakeRate = "handshake-rate"
    case connectionLimit = "connection-limit"
    case addressConnectionLimit = "address-connection-limit"
    case prefixRate = "prefix-rate"
    case prefixConnectionLimit = "prefix-connection-limit"
    case listenerConnectionLimit = "listener-connection-limit"
    case identityRate = "identity-rate"
    case identityConnectionLimit = "identity-connection-limit"
    case noDescriptors = "no-descriptors"
    case memoryPressure = "memory-pressure"
    case descriptorPressure = "descriptor-pressure"
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
    /// The token that has our private key does not answer.
    case keyUnavailable = "key-unavailable"
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
    case tlsGarbage = "tls-garbage"
    case noApplicationProtocol = "no-application-protocol"
    // Policy and backend.
    case noRule = "no-rule"
    case denied
    case notDesired = "not-desired"
    case userNotAllowed = "user-not-allowed"
    case databaseNotAllowed = "database-not-allowed"
    case replicationNotAllowed = "replication-not-allowed"
    case backendDown = "backend-down"
    /// The remote end of a tunnel.
    case remoteDown = "remote-down"
    /// It answers, but its certificate or its name is not accepted.
    case remoteRefused = "remote-refused"
    case backendExposed = "backend-exposed"
    /// The audit log has no room for what the connection would do.
    case auditFull = "audit-full"
    case cancelUnmatched = "cancel-unmatched"

    /// Only a number, no audit event: it says nothing about an intention, or there is no room for one.
    var isNoise: Bool { self == .probe || self == .cancelUnmatched || self == .auditFull }

    /// Counts towards a ban of the address: what no honest client does, however wrongly it is set up. One that speaks
    /// in clear has another port or no TLS in mind, one of an unknown issuer may be ahead of this node in a change of
    /// authorities, and one whose handshake fails may have a key of an odd kind; behind their address may stand many.
    var isHostile: Bool {
        switch self {
        case .malformedPreamble, .stuffedPreamble, .repeatedRequest, .tlsGarbage, .authorityAsPeer: true
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
            case .narrowed: .notDesired
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
            case .garbage: .tlsGarbage
            case .keyUnavailable: .keyUnavailable
            case .keyUpdateFlood, .other: .tlsFailure
            }
    }
}
