/// How a listener reaches its database with TLS: the half of `ListenerConfiguration` that faces the backend.
package struct BackendTLS: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        /// The database's certificate must come from `trust` and have `name`.
        case verify
        /// The database must present the very certificate that the listener presents, so that what a client binds to
        /// its channel (SCRAM-SHA-256-PLUS, RFC 5929 §4) is true for the database too.
        case sameCertificate = "same-certificate"
    }

    /// How a PostgreSQL server is brought to speak TLS, as libpq's `sslnegotiation` has it.
    package enum Negotiation: String, Sendable, CaseIterable {
        case sslRequest = "sslrequest"
        /// From the first byte, under the application protocol `postgresql`: PostgreSQL 17 and later.
        case direct
    }

    package var mode: Mode
    package var negotiation: Negotiation
    /// A host name or a literal address; a host name is also sent (SNI).
    package var name: String?
    /// Who certifies the database; mode `verify` only.
    package var trust: ListenerTrust

    package init(
        _ mode: Mode, name: String? = nil, trust: ListenerTrust? = nil, negotiation: Negotiation = .sslRequest
    ) {
        self.mode = mode
        self.negotiation = negotiation
        self.name = name
        self.trust = trust ?? ListenerTrust(trustsCluster: false, anchors: [])
    }

    /// What is wrong with it, each as the end of a sentence about the listener.
    var mistakes: [String] {
        guard mode == .verify else { return [] }
        var found: [String] = []
        if name == nil { found.append("has no name to verify in its backend's certificate") }
        if !trust.trustsCluster, trust.anchors.isEmpty { found.append("trusts nobody to certify its backend") }
        return found
    }
}
