import OpenSSL
import Reports

/// TLS towards the database, as one generation of a listener's certificate and trust has it.
struct BackendSecurity: Sendable {
    let context: TLSContext
    /// What the database has to present, byte for byte; nil: the context verifies chain and name.
    private let expected: Certificate?
    private let isUnverified: Bool
    /// PostgreSQL is not asked whether it speaks TLS.
    let isDirect: Bool
    /// nil: it is a database's, not that of a tunnel.
    private let tunnel: TunnelSettings?
    /// What a tunnel's remote end is held to, beside chain and name; without one it is not accepted.
    private var standing: Standing?

    private init(unverified context: TLSContext) {
        self.context = context
        (expected, tunnel) = (nil, nil)
        (isUnverified, isDirect) = (true, false)
    }

    /// For a probe of a database that is reached in clear: whoever answers, nothing is said to him but goodbye.
    static func unverified() throws(OpenSSLError) -> BackendSecurity {
        BackendSecurity(unverified: try TLSContext.client(identity: nil, trust: nil, serverName: nil))
    }

    /// The listener's own certificate goes along where it may stand for a client. `trust`: of mode `verify`.
    init(
        _ wanted: BackendTLS, _ identity: TLSIdentity, trust: TrustAnchors?, protocols: [String]
    ) throws(OpenSSLError) {
        // Never a key in a token: this runs beside live sessions, which would wait for it.
        let own = identity.leaf.allowsClientAuthentication && identity.key.holder == nil ? identity : nil
        (isUnverified, isDirect) = (false, wanted.negotiation == .direct)
        tunnel = nil
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

    /// Towards the remote end of a tunnel; its own certificate must be able to stand for a client there.
    init(
        _ tunnel: TunnelSettings, _ identity: TLSIdentity, trust: TrustAnchors, minimum: TLSVersion,
        protocols: [String]
    ) throws(OpenSSLError) {
        guard identity.leaf.allowsClientAuthentication else {
            throw OpenSSLError("prepare a tunnel", "the certificate is not for clients (usage: client)")
        }
        self.tunnel = tunnel
        (isUnverified, isDirect) = (false, tunnel.isDirect)
        expected = nil
        context = try TLSContext.client(
            identity: identity, trust: trust, serverName: tunnel.name, minimum: minimum,
            applicationProtocols: protocols)
    }

    /// What the other end is called in events.
    var farEnd: String { tunnel == nil ? "the database" : "the remote end" }

    func holding(_ standing: Standing) -> BackendSecurity {
        var held = self
        held.standing = standing
        return held
    }

    /// Why a finished handshake does not count, in the words of an event; nil: the other end is who it should be.
    func objection(to session: TLSSession) -> String? {
        if isUnverified { return nil }
        if tunnel != nil { return remoteObjection(to: session) }
        guard let expected else {
            return session.isPeerVerified ? nil : "the certificate of the database was not verified"
        }
        if session.peerCertificate == expected { return nil }
        let presented = session.peerCertificate.map(\.description) ?? "none"
        return "the database presents another certificate than this listener: \(presented), not \(expected)"
    }

    private func remoteObjection(to session: TLSSession) -> String? {
        guard session.isPeerVerified, let standing else { return "the certificate of the remote end was not verified" }
        return standing.objection(toRemote: session.peerChain, at: Timestamp.now.seconds)
            .map { "the certificate of the remote end is not accepted: \($0)" }
    }
}
