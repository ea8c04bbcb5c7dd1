import OpenSSL

/// TLS towards the database, as one generation of a listener's certificate and trust has it.
struct BackendSecurity: Sendable {
    let context: TLSContext
    /// What the database has to present, byte for byte; nil: the context verifies chain and name.
    private let expected: Certificate?

    /// The listener's own certificate goes along where it may stand for a client. `trust`: of mode `verify`.
    init(
        _ wanted: BackendTLS, _ identity: TLSIdentity, trust: TrustAnchors?, protocols: [String]
    ) throws(OpenSSLError) {
        let own = identity.leaf.allowsClientAuthentication ? identity : nil
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
        guard let expected else {
            return session.isPeerVerified ? nil : "the certificate of the database was not verified"
        }
        if session.peerCertificate == expected { return nil }
        let presented = session.peerCertificate.map(\.description) ?? "none"
        return "the database presents another certificate than this listener: \(presented), not \(expected)"
    }
}
