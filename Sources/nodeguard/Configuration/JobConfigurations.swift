import Backups
import Certificates
import IO
import OpenSSL
import Proxy
import Tokens

/// The configuration in each job's own terms.
extension NodeConfiguration {
    func certificatesConfiguration() -> CertificatesConfiguration {
        CertificatesConfiguration(
            stateDirectory: node.state, node: node.name, cluster: node.cluster,
            management: management.map { ManagementConfiguration(joinFile: $0.join, label: $0.est.label) },
            key: certificates.key.rule, roles: certificates.roles.map(\.configuration))
    }

    func backupsConfiguration(cluster: String) -> BackupsConfiguration {
        BackupsConfiguration(
            node: node.name, cluster: cluster, version: Nodeguard.version,
            targets: backups.targets.map(\.configuration),
            memory: backups.memory, socket: status.stream, socketGroup: status.group)
    }

    /// Resolves backends' host names and reads trust files, once, at the start.
    func proxyConfiguration() throws(VerbFailure) -> ProxyConfiguration {
        var listeners: [ListenerConfiguration] = []
        let roles = CertificateRoles(certificates.roles, isManaged: management != nil)
        if let error = places.error(fileMistakes) { throw VerbFailure(.configuration, error.description) }
        for listener in proxy.listeners {
            do {
                var configuration = try listener.configuration(proxy.defaults)
                configuration.hasTokenKey = roles.areInToken(listener.certificates.roles)
                listeners.append(configuration)
            } catch {
                // A name server that is away at boot is no mistake in the file: the service manager tries again.
                throw VerbFailure(.failed, "listener \(listener.name): \(error)")
            }
        }
        for tunnel in proxy.tunnels {
            do { listeners.append(try tunnel.configuration(proxy.defaults)) } catch {
                throw VerbFailure(.failed, "tunnel \(tunnel.name): \(error)")
            }
        }
        var configuration = ProxyConfiguration(listeners: listeners, limits: proxy.limits)
        configuration.dataLanes = proxy.dataLanes
        configuration.handshakeLanes = proxy.handshakeLanes
        configuration.algorithms = proxy.algorithms
        configuration.exposure = proxy.exposure
        return configuration
    }
}

extension NodeConfiguration {
    /// Files that others write and that are read again when they change. The proxy watches CRLs and deny lists itself.
    var watchedFiles: [String] {
        let certificates = certificates.roles.flatMap { role in
            if case .files(let chain, let key) = role.source { [chain, key] } else { [String]() }
        }
        return certificates + proxy.listeners.flatMap { $0.trust.files + $0.backendTLS.trust.files }
            + proxy.tunnels.flatMap(\.trust.files)
    }
}

extension NodeConfiguration {
    /// By role.
    var publications: [String: PublicationConfiguration] {
        certificates.roles.reduce(into: [:]) { $0[$1.name] = $1.publication?.publication }
    }
}

extension BackupsSection.Target {
    fileprivate var configuration: BackupsConfiguration.Target {
        switch place {
        case .folder(let folder): .init(name: name, url: "file://" + folder)
        case .store(let store): .init(name: name, .store(store.settings))
        }
    }
}

extension StoreSection {
    fileprivate var settings: S3Settings {
        let source: S3CredentialSource =
            switch credentials {
            case .file(let path): .file(path)
            case .environment: .environment
            }
        var settings = S3Settings(
            bucket: bucket, prefix: prefix, endpoint: endpoint, region: region, credentials: source,
            addressing: addressing.flatMap { S3Settings.Addressing(rawValue: $0.rawValue) },
            checksums: checksums.flatMap { S3Settings.Checksums(rawValue: $0.rawValue) })
        settings.authorities = authorities
        settings.acknowledgesPlaintext = acknowledgesPlaintext
        settings.bandwidth = bandwidth
        return settings
    }
}

extension KeySection {
    fileprivate var rule: KeyRule {
        let kind: KeyKind =
            switch kind {
            case .ecP256: .ecP256
            case .ecP384: .ecP384
            case .rsa3072: .rsa3072
            }
        return KeyRule(kind, in: store)
    }
}

extension RoleSection {
    fileprivate var configuration: RoleConfiguration {
        let source: RoleConfiguration.Source =
            switch source {
            case .files(let chain, let key): .files(chain: chain, key: key)
            case .enrolled(let names, let addresses, let uris, let usage):
                .enrolled(
                    dnsNames: names, addresses: addresses, uris: uris, server: usage.contains(.server),
                    client: usage.contains(.client))
            }
        return RoleConfiguration(
            name: name, source: source, publication: publication?.publication, key: key?.rule)
    }
}

extension ListenerSection {
    /// What holds for all listeners, and its own.
    func denyLists(_ defaults: ProxySection.Defaults) -> [String] {
        defaults.denyLists(and: denyList)
    }

    /// Who certifies the database; nil: nobody has to.
    func currentBackendTrust() throws -> ListenerTrust? {
        guard backendTLS.mode == .verify else { return nil }
        return try backendTLS.trust.current(for: .server)
    }

    private func backendSecurity() throws -> BackendTLS? {
        guard let mode = BackendTLS.Mode(rawValue: backendTLS.mode.rawValue) else { return nil }
        return BackendTLS(
            mode, name: backendTLS.name ?? host(of: backend), trust: try currentBackendTrust(),
            negotiation: backendTLS.negotiation)
    }

    fileprivate func configuration(_ defaults: ProxySection.Defaults) throws -> ListenerConfiguration {
        let trust = try trust.current(for: .client)
        var configuration = ListenerConfiguration(
            name: name, listen: listen, databaseProtocol: databaseProtocol, backend: try SocketAddress.resolve(backend),
            certificateRole: certificates.roles[0], trustsCluster: trust.trustsCluster, anchors: trust.anchors,
            policy: try policy(), minimumTLS: defaults.oldestTLS, timeouts: defaults.timeouts,
            acknowledgesLocalTrust: acknowledgesLocalTrust, explainsCertificateRefusals: explainsCertificateRefusals)
        configuration.anchorFiles = trust.files
        configuration.otherCertificateRoles = Array(certificates.roles.dropFirst())
        configuration.refusesUnknownNames = certificates.unknownName == .strict
        configuration.backendTLS = try backendSecurity()
        configuration.resumesSessions = resumesSessions ?? defaults.resumesSessions
        configuration.isTransparent = source == .transparent
        configuration.namesAddress = applicationName == .appendAddress
        configuration.sendsProxyHeader = proxyProtocol.sent == .v2
        configuration.announcingProxies = proxyProtocol.accepted
        configuration.health = health
        configuration.revocation = revocation
        configuration.denyLists = denyLists(defaults)
        configuration.limits = limits
        return configuration
    }
}

extension TunnelSection {
    func denyLists(_ defaults: ProxySection.Defaults) -> [String] { defaults.denyLists(and: denyList) }

    fileprivate func configuration(_ defaults: ProxySection.Defaults) throws -> ListenerConfiguration {
        let trust = try trust.current(for: .server)
        var settings = TunnelSettings(to: connect, name: verifyName ?? host(of: connect) ?? "")
        settings.isDirect = databaseProtocol == .postgres && beginning == .direct
        settings.socketMode = socketMode
        settings.socketGroup = socketGroup
        settings.acknowledgesPlaintext = acknowledgesPlaintext
        var timeouts = defaults.timeouts
        if let connectTimeout { timeouts.connect = connectTimeout }
        if let idleTimeout { timeouts.idle = idleTimeout }
        var configuration = ListenerConfiguration(
            tunnel: settings, name: name, listen: listen, databaseProtocol: databaseProtocol,
            certificateRole: certificate, trustsCluster: trust.trustsCluster, anchors: trust.anchors,
            minimumTLS: defaults.oldestTLS, timeouts: timeouts)
        configuration.anchorFiles = trust.files
        configuration.health = health
        configuration.revocation = revocation
        configuration.denyLists = denyLists(defaults)
        return configuration
    }
}

/// nil for a unix socket.
private func host(of backend: String) -> String? {
    if let address = SocketAddress(backend) { return address.host }
    return backend.lastIndex(of: ":").map { String(backend[..<$0]) }
}

extension ProxySection.Defaults {
    fileprivate var oldestTLS: TLSVersion { minimumTLS == .v13 ? .tls13 : .tls12 }

    fileprivate var timeouts: ProxyTimeouts {
        var timeouts = ProxyTimeouts()
        timeouts.handshake = handshakeTimeout
        timeouts.connect = connectTimeout
        timeouts.idle = idleTimeout
        return timeouts
    }

    fileprivate func denyLists(and own: String?) -> [String] {
        var all: [String] = []
        for path in [denyList, own] { if let path, !all.contains(path) { all.append(path) } }
        return all
    }
}
