import OpenSSL

/// TLS towards the database, as one generation of a listener's certificate and trust has it.
struct BackendSecurity: Sendable {
    let context: TLSContext
    /// What the database has to present, byte for byte; nil: the context verifies chain and name.
    private let expected: Certificate?
    private let isUnverified: Bool

    private init(unverified context: TLSContext) {
        self.context = context
        expected = nil
        isUnverified = true
    }

    /// For a probe of a database that is reached in clear: whoever answers, nothing is said to him but goodbye.
    static func unverified() throws(OpenSSLError) -> BackendSecurity {
        BackendSecurity(unverified: try TLSContext.client(identity: nil, trust: nil, serverName: nil))
    }

    /// The listener's own certificate goes along where it may stand for a client. `trust`: of mode `verify`.
    init(
        _ wanted: BackendTLS, _ identity: TLSIdentity, trust: TrustAnchors?, protocols: [String]
    ) throws(OpenSSLError) {
        let own = identity.leaf.allowsClientAuthentication ? identity : nil
        isUnverified = false
        switch wanted.mode {
        case .verify:
            guard let trust, let name = wanted.name else {
                throw OpenSSLError("prepare TLS to the backend", "there is no trust, or no name to verify")
            }
            expected = nil
            context = try TLSContext.client(
                identity: own, trust: trust, serverName: name, applicationProtocols: protocols)
        case .sameCertificate:
            expected = identity.leaf
            context = try TLSContext.client(
                identity: own, trust: nil, serverName: wanted.name, applicationProtocols: protocols)
        }
    }

    /// Why a finished handshake does not count, in the words of an event; nil: the database is who it should be.
    func objection(to session: TLSSession) -> String? {
        if isUnverified { return nil }
        guard let expected else {
            return session.isPeerVerified ? nil : "the certificate of the database was not verified"
        }
        if session.peerCertificate == expected { return nil }
        let presented = session.peerCertificate.map(\.description) ?? "none"
        return "the database presents another certificate than this listener: \(presented), not \(expected)"
    }
}
