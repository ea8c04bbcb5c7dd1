import IO
import Proxy

/// One of `proxy: tunnels:`: a plain port of this node's own that leads to a remote one by mutual TLS.
struct TunnelSection: Sendable, Equatable {
    /// How TLS begins towards a remote PostgreSQL.
    enum Beginning: String, Sendable, CaseIterable {
        case sslRequest = "sslrequest"
        case direct
    }

    let name: String
    let listen: [SocketAddress]
    let socketMode: UInt32
    /// nil: that of the daemon.
    let socketGroup: String?
    let acknowledgesPlaintext: Bool
    /// `host:port`.
    let connect: String
    let databaseProtocol: DatabaseProtocol
    let beginning: Beginning
    /// A role of `certificates`.
    let certificate: String
    let trust: [ListenerSection.Trust]
    /// nil: the host of `connect`.
    let verifyName: String?
    let revocation: RevocationConfiguration?
    /// A file.
    let denyList: String?
    /// nil: that of all listeners.
    let connectTimeout: Duration?
    /// The outer nil: that of all listeners.
    let idleTimeout: Duration??
    let health: BackendHealthRules?

    static func read(_ section: Section, _ roles: CertificateRoles) -> TunnelSection? {
        let name = section.value("name", .name, isRequired: true)
        let listen = section.list("listen", .tunnelAddress, isRequired: true)
        let socketMode = section.located("socket-mode", .mode)
        let socketGroup = section.located("socket-group", .text(limit: 32))
        let acknowledges = section.value("acknowledge-plaintext", .flag) ?? false
        let connect = section.located("connect", .remote, isRequired: true)
        let databaseProtocol = section.value("protocol", Form<DatabaseProtocol>.word("protocol")) ?? .tcp
        let beginning = section.located("tls", Form<Beginning>.word("way to begin TLS"))
        let certificate = section.located("certificate", .name, isRequired: true)
        let trust = section.list("trust", .trust, isRequired: !roles.isManaged)
        let verifyName = section.value("verify-name", .certificateName)
        let revocation = RevocationConfiguration.read(section, roles)
        let denyList = section.value("deny-list", .path)
        let connectTimeout = section.value("connect-timeout", .duration(ProxySection.Defaults.shortTimes))
        let idleTimeout = section.value("idle-timeout", Form.duration(ProxySection.Defaults.longTimes).orOff())
        let health = BackendHealthRules.read(section)
        checkPorts(listen ?? [], [socketMode?.position, socketGroup?.position], acknowledges, section)
        let remote = connect.flatMap { SocketAddress($0.value) }
        if let connect, let remote, listen?.contains(where: { $0.value == remote }) == true {
            section.add("'connect' leads back to the tunnel itself", at: connect.position)
        }
        if let beginning, beginning.value == .direct, databaseProtocol != .postgres {
            section.add("TLS begins directly anyway: 'tls' is for the protocol postgres", at: beginning.position)
        }
        if let certificate { roles.check(certificate, section, forClients: true) }
        ListenerSection.checkTrust(trust ?? [], section, roles)
        if section.has("trust"), trust?.isEmpty == true {
            section.add("'trust' needs at least one value", at: section.place(of: "trust"))
        }
        guard let name, let listen, let connect, let certificate else { return nil }
        return TunnelSection(
            name: name, listen: listen.map(\.value), socketMode: socketMode?.value ?? 0o600,
            socketGroup: socketGroup?.value, acknowledgesPlaintext: acknowledges, connect: connect.value,
            databaseProtocol: databaseProtocol, beginning: beginning?.value ?? .sslRequest,
            certificate: certificate.value, trust: trust?.map(\.value) ?? [.cluster], verifyName: verifyName,
            revocation: revocation,
            denyList: denyList, connectTimeout: connectTimeout, idleTimeout: idleTimeout, health: health)
    }

    private static func checkPorts(
        _ listen: [Section.Located<SocketAddress>], _ ofSocket: [Position?], _ acknowledges: Bool, _ section: Section
    ) {
        for one in listen where !one.value.isLoopback && !acknowledges {
            section.add(
                "other machines would reach \(one.value) in clear, and use this node's certificate: listen on "
                    + "127.0.0.1, \"[::1]\" or unix:/path, or add 'acknowledge-plaintext: yes' once you have looked",
                at: one.position)
        }
        if listen.contains(where: { if case .unix = $0.value { true } else { false } }) { return }
        for (key, position) in zip(["socket-mode", "socket-group"], ofSocket) {
            guard let position else { continue }
            section.add("'\(key)' says nothing without a unix socket under 'listen'", at: position)
        }
    }
}

extension TunnelSection {
    var shown: ConfigurationText.Members {
        let isSocket = listen.contains { if case .unix = $0 { true } else { false } }
        let group: ConfigurationText.Members = socketGroup.map { [("socket-group", .text($0))] } ?? []
        let mode: ConfigurationText.Members = isSocket ? [("socket-mode", .text(octalMode))] + group : []
        let acknowledged: ConfigurationText.Members =
            acknowledgesPlaintext ? [("acknowledge-plaintext", .text("yes"))] : []
        let tls: ConfigurationText.Members =
            databaseProtocol == .postgres ? [("tls", .text(beginning.rawValue))] : []
        let verified: ConfigurationText.Members = verifyName.map { [("verify-name", .text($0))] } ?? []
        let denied: ConfigurationText.Members = denyList.map { [("deny-list", .text($0))] } ?? []
        let connecting: ConfigurationText.Members =
            connectTimeout.map { [("connect-timeout", .text(Quantity.text($0)))] } ?? []
        let idle: ConfigurationText.Members =
            idleTimeout.map { [("idle-timeout", .text($0.map(Quantity.text) ?? "off"))] } ?? []
        return [("name", .text(name)), ("listen", .list(listen.map(\.description)))] + mode + acknowledged + [
            ("connect", .text(connect)), ("protocol", .text(databaseProtocol.rawValue)),
        ] + tls + [("certificate", .text(certificate)), ("trust", .list(trust.map(\.description)))] + verified
            + (revocation?.shown ?? []) + denied + connecting + idle + (health?.shown ?? [])
    }
}

extension TunnelSection {
    /// Of the socket's file: `0600`.
    var octalMode: String {
        let octal = String(socketMode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - octal.count)) + octal
    }
}

extension Form where Value == SocketAddress {
    /// `ADDRESS:PORT` or `unix:/path`.
    fileprivate static var tunnelAddress: Form {
        Form { text throws(Flaw) in
            guard let address = SocketAddress(text) else {
                throw Flaw("'\(text)' is no address: write 127.0.0.1:19100 or unix:/path")
            }
            return address
        }
    }
}

extension Form where Value == String {
    /// `host:port` of another machine; its name is looked up later, again and again.
    fileprivate static var remote: Form {
        Form { text throws(Flaw) in
            if text.hasPrefix("unix:") { throw Flaw("a tunnel leads to another machine: write host:port") }
            do { return try Form<String>.backend.read(text) } catch {
                throw Flaw("'\(text)' is no remote end: write host:9100")
            }
        }
    }
}
