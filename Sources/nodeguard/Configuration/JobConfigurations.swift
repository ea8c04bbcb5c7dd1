import Certificates
import IO
import OpenSSL
import Proxy
import Reports

/// The configuration in each job's own terms.
extension NodeConfiguration {
    func certificatesConfiguration() -> CertificatesConfiguration {
        CertificatesConfiguration(
            stateDirectory: node.state, node: node.name, cluster: node.cluster,
            management: management.map { ManagementConfiguration(joinFile: $0.join, label: $0.est.label) },
            keyKind: certificates.keyKind.kind, roles: certificates.roles.map(\.configuration))
    }

    /// Resolves backends' host names and reads trust files, once, at the start.
    func proxyConfiguration() throws(VerbFailure) -> ProxyConfiguration {
        var listeners: [ListenerConfiguration] = []
        if let error = places.error(fileMistakes) { throw VerbFailure(.configuration, error.description) }
        for listener in proxy.listeners {
            do {
                listeners.append(try listener.configuration(proxy.defaults))
            } catch {
                // A name server that is away at boot is no mistake in the file: the service manager tries again.
                throw VerbFailure(.failed, "listener \(listener.name): \(error)")
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
        return certificates + proxy.listeners.flatMap { $0.trustFiles + $0.backendTLS.trustFiles }
    }
}

extension CertificatesSection.KeyKind {
    fileprivate var kind: KeyKind {
        switch self {
        case .ecP256: .ecP256
        case .ecP384: .ecP384
        case .rsa3072: .rsa3072
        }
    }
}

extension RoleSection {
    fileprivate var configuration: RoleConfiguration {
        switch source {
        case .files(let chain, let key): RoleConfiguration(name: name, source: .files(chain: chain, key: key))
        case .enrolled(let names, let addresses, let uris, let usage):
            RoleConfiguration(
                name: name,
                source: .enrolled(
                    dnsNames: names, addresses: addresses, uris: uris, server: usage.contains(.server),
                    client: usage.contains(.client)))
        }
    }
}

extension ListenerSection {
    private static let trustLimit = 1 << 20

    /// Only such as can verify a peer: with one that cannot, every peer would be refused, and nobody would be told.
    func authorities(in path: String, for purpose: CertificatePurpose = .client) throws -> [Certificate] {
        let blocks = try Certificate.blocks(ofPEM: try Files.read(path, limit: Self.trustLimit))
        for block in blocks {
            guard let flaw = block.certificate.flawAsAnchor(for: purpose) else { continue }
            throw OpenSSLError("trust \(block.certificate) in \(block.place)", flaw)
        }
        let found = blocks.map(\.certificate)
        // One that has expired may stand beside its successor.
        if let last = found.max(by: { $0.notAfter < $1.notAfter }), last.notAfter < Timestamp.now.seconds {
            throw OpenSSLError("trust \(last)", "it has expired")
        }
        _ = try TrustAnchors(found, pinsIntermediates: true)
        return found
    }

    /// What holds for all listeners, and its own.
    func denyLists(_ defaults: ProxySection.Defaults) -> [String] {
        var all: [String] = []
        for path in [defaults.denyList, denyList] { if let path, !all.contains(path) { all.append(path) } }
        return all
    }

    var trustFiles: [String] { trust.compactMap(\.file) }

    /// As its files are now.
    func currentTrust() throws -> ListenerTrust {
        ListenerTrust(
            trustsCluster: trust.contains(.cluster), anchors: try trustFiles.flatMap { try authorities(in: $0) })
    }

    /// Who certifies the database; nil: nobody has to.
    func currentBackendTrust() throws -> ListenerTrust? {
        guard backendTLS.mode == .verify else { return nil }
        return ListenerTrust(
            trustsCluster: backendTLS.trust.contains(.cluster),
            anchors: try backendTLS.trustFiles.flatMap { try authorities(in: $0, for: .server) })
    }

    private func backendSecurity() throws -> BackendTLS? {
        guard let mode = BackendTLS.Mode(rawValue: backendTLS.mode.rawValue) else { return nil }
        return BackendTLS(mode, name: backendTLS.name ?? backendHost, trust: try currentBackendTrust())
    }

    /// nil for a unix socket.
    private var backendHost: String? {
        if let address = SocketAddress(backend) { return address.host }
        return backend.lastIndex(of: ":").map { String(backend[..<$0]) }
    }

    fileprivate func configuration(_ defaults: ProxySection.Defaults) throws -> ListenerConfiguration {
        let trust = try currentTrust()
        var timeouts = ProxyTimeouts()
        timeouts.handshake = defaults.handshakeTimeout
        timeouts.connect = defaults.connectTimeout
        timeouts.idle = defaults.idleTimeout
        var configuration = ListenerConfiguration(
            name: name, listen: listen, databaseProtocol: databaseProtocol, backend: try SocketAddress.resolve(backend),
            certificateRole: certificate, trustsCluster: trust.trustsCluster, anchors: trust.anchors,
            policy: try policy(),
            minimumTLS: defaults.minimumTLS == .v13 ? .tls13 : .tls12, timeouts: timeouts,
            acknowledgesLocalTrust: acknowledgesLocalTrust, explainsCertificateRefusals: explainsCertificateRefusals)
        configuration.backendTLS = try backendSecurity()
        configuration.health = health
        configuration.revocation = revocation
        configuration.denyLists = denyLists(defaults)
        return configuration
    }
}

extension BackendTLSSection {
    var trustFiles: [String] { trust.compactMap(\.file) }
}

extension ListenerSection.Trust {
    fileprivate var file: String? { if case .file(let path) = self { path } else { nil } }
}
