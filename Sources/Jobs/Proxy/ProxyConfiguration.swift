import IO
import OpenSSL

/// What the proxy does, checked and complete; made by the program from its configuration file.
package struct ProxyConfiguration: Sendable {
    /// Tunnels too.
    package var listeners: [ListenerConfiguration]
    package var limits: ProxyLimits
    /// As many as cores, unless told otherwise.
    package var dataLanes: Int?
    /// Half as many as cores and at least one, unless told otherwise.
    package var handshakeLanes: Int?
    package var algorithms = AlgorithmSelection.trimmed
    package var exposure = ExposureMode.report
    /// Who is refused everywhere, beside the lists in files.
    package var denied = DenyList()

    package init(listeners: [ListenerConfiguration], limits: ProxyLimits = ProxyLimits()) {
        self.listeners = listeners
        self.limits = limits
    }
}

/// One port before one database.
package struct ListenerConfiguration: Sendable {
    package var name: String
    package var listen: [SocketAddress]
    package var databaseProtocol: DatabaseProtocol
    /// Tried in order for each new connection.
    package var backend: [SocketAddress]
    /// nil: the database is reached in clear.
    package var backendTLS: BackendTLS?
    /// Whether a database is told who its client is, by a PROXY header (version 2) before anything else.
    package var sendsProxyHeader = false
    /// Whether a database sees the client's own address as that of its peer; the kernel must permit it.
    package var isTransparent = false
    /// Proxies that say who their clients are, by such a header, which they must send; nobody else may.
    package var announcingProxies: [PeerNetwork] = []
    /// Whether the client's address stands behind the `application_name` that the database sees; PostgreSQL only.
    package var namesAddress = false
    /// Whether one of its private keys is in a token, which takes its time and may hang.
    package var hasTokenKey = false
    /// nil: it stands before a database.
    package var tunnel: TunnelSettings?
    /// nil: the databases are not probed, and each connection tries them all.
    package var health: BackendHealthRules?
    /// Whose identity is served: a role of `publish(identity:forRole:)`.
    package var certificateRole: String
    /// Roles whose identities are served to clients that ask for a name of theirs (SNI).
    package var otherCertificateRoles: [String] = []
    /// Whether a client that asks for a name that no certificate has, or for none, gets an alert.
    package var refusesUnknownNames = false
    /// Whether the anchors of `publish(trust:)` count.
    package var trustsCluster: Bool
    /// Anchors of its own, beside or instead of the cluster's.
    package var anchors: [Certificate]
    /// Where these stand, for people.
    package var anchorFiles: [Certificate: String] = [:]
    package var policy: AccessPolicy
    package var minimumTLS: TLSVersion
    package var timeouts: ProxyTimeouts
    /// A unix socket before PostgreSQL is refused without this: YugabyteDB's default HBA has `local all yugabyte
    /// trust`, which would make any client of that user a superuser without a password.
    package var acknowledgesLocalTrust: Bool
    /// Whether a client whose certificate is not accepted hears why in its own protocol, instead of by an alert.
    package var explainsCertificateRefusals: Bool
    /// Whether clients may resume their TLS sessions, by tickets. Never by anything else, and never what has changed.
    package var resumesSessions = false
    /// nil: certificates are not looked up.
    package var revocation: RevocationConfiguration?
    /// Files; who stands in one of them is refused.
    package var denyLists: [String] = []
    package var limits = ProxyLimits.PerListener()

    package init(
        name: String, listen: [SocketAddress], databaseProtocol: DatabaseProtocol, backend: [SocketAddress],
        certificateRole: String, trustsCluster: Bool = true, anchors: [Certificate] = [],
        policy: AccessPolicy = AccessPolicy(), minimumTLS: TLSVersion = .tls12,
        timeouts: ProxyTimeouts = ProxyTimeouts(), acknowledgesLocalTrust: Bool = false,
        explainsCertificateRefusals: Bool = false
    ) {
        self.name = name
        self.listen = listen
        self.databaseProtocol = databaseProtocol
        self.backend = backend
        self.certificateRole = certificateRole
        self.trustsCluster = trustsCluster
        self.anchors = anchors
        self.policy = policy
        self.minimumTLS = minimumTLS
        self.timeouts = timeouts
        self.acknowledgesLocalTrust = acknowledgesLocalTrust
        self.explainsCertificateRefusals = explainsCertificateRefusals
    }

    /// In order; the first is the one that is served to who asks for no name.
    var certificateRoles: [String] { [certificateRole] + otherCertificateRoles }

    /// Whether somebody at this address must say first who the client is.
    func isAnnounced(by address: SocketAddress) -> Bool {
        if announcingProxies.isEmpty { return false }
        let exact = PeerNetwork(exactly: address)
        return announcingProxies.contains { $0.contains(exact) }
    }

    static let signsAmongSessions =
        "handshakes of this node's own run beside live sessions, which must not wait for a token: the certificate that "
        + "is shown there needs its key in a file"

    /// Everything that is wrong with it, each as one sentence without a full stop; empty if it can be used.
    package var mistakes: [String] {
        if let tunnel { return mistakes(of: tunnel) }
        var found: [String] = []
        if listen.isEmpty { found.append("listener \(name) has no address to listen on") }
        if backend.isEmpty { found.append("listener \(name) has no backend") }
        if !trustsCluster, anchors.isEmpty { found.append("listener \(name) trusts nobody") }
        let hasUnixBackend = backend.contains { if case .unix = $0 { true } else { false } }
        if hasUnixBackend, databaseProtocol == .postgres, !acknowledgesLocalTrust {
            found.append(
                "listener \(name) has a unix backend for postgres: `local … trust` in pg_hba.conf, as YugabyteDB has "
                    + "it by default, would let every allowed client in without a password; use 127.0.0.1, or "
                    + "acknowledge it")
        }
        if backendTLS?.mode == .sameCertificate, hasTokenKey {
            found.append("listener \(name): \(Self.signsAmongSessions)")
        }
        if backendTLS?.mode == .sameCertificate, !otherCertificateRoles.isEmpty {
            found.append("listener \(name) has several certificates, and its database can present only one of them")
        }
        if isTransparent, hasUnixBackend {
            found.append("listener \(name) has a unix backend, where connections come from no address")
        }
        found += (backendTLS?.mistakes ?? []).map { "listener \(name) \($0)" }
        if backendTLS != nil, hasUnixBackend, databaseProtocol == .postgres {
            found.append("listener \(name) has a unix backend for postgres, which never speaks TLS there")
        }
        if policy.namesSession, databaseProtocol != .postgres {
            found.append("listener \(name): only protocol postgres names a user before the policy decides")
        }
        if namesAddress, databaseProtocol != .postgres {
            found.append("listener \(name): only protocol postgres has an application_name")
        }
        if backendTLS?.negotiation == .direct, databaseProtocol != .postgres {
            found.append("listener \(name): only protocol postgres has anything to negotiate before TLS")
        }
        if explainsCertificateRefusals, databaseProtocol == .tcp {
            found.append("listener \(name): protocol tcp has no words in which to explain a refusal")
        }
        return found
    }
}

/// Where a listener looks up whether certificates are revoked.
package struct RevocationConfiguration: Sendable, Equatable {
    package var files: [String]
    /// Whether the lists of `publish(revocation:)` count.
    package var usesCluster: Bool
    package var rules: RevocationRules

    package init(files: [String], usesCluster: Bool = false, rules: RevocationRules = RevocationRules()) {
        self.files = files
        self.usesCluster = usesCluster
        self.rules = rules
    }
}

package struct ProxyTimeouts: Sendable, Equatable {
    /// Total, from accept to the authorized session, for PostgreSQL with its StartupMessage.
    package var handshake = Duration.seconds(10)
    package var connect = Duration.seconds(5)
    /// Without a byte in either direction; nil: never.
    package var idle: Duration?
    /// Without progress after one direction has ended.
    package var linger = Duration.seconds(60)

    package init() {}
}
