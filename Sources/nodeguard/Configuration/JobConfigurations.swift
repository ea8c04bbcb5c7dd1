import Certificates
import IO
import OpenSSL
import Proxy

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
        let mistakes = trustMistakes + ruleFileMistakes
        if !mistakes.isEmpty { throw VerbFailure(.configuration, mistakes.joined(separator: "\n")) }
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
        return configuration
    }
}

extension NodeConfiguration {
    /// What is wrong with the files of authorities that listeners name, one line each.
    var trustMistakes: [String] {
        proxy.listeners.flatMap { listener in
            listener.trust.compactMap { trust in
                guard case .file(let path) = trust else { return nil }
                do {
                    _ = try listener.authorities(in: path)
                    return nil
                } catch { return "listener \(listener.name): trust \"file:\(path)\": \(error)" }
            }
        }
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

    func authorities(in path: String) throws -> [Certificate] {
        let found = try Certificate.parsePEM(try Files.read(path, limit: Self.trustLimit))
        _ = try TrustAnchors(found, pinsIntermediates: true)
        return found
    }

    fileprivate func configuration(_ defaults: ProxySection.Defaults) throws -> ListenerConfiguration {
        var anchors: [Certificate] = []
        for case .file(let path) in trust {
            anchors += try authorities(in: path)
        }
        var timeouts = ProxyTimeouts()
        timeouts.handshake = defaults.handshakeTimeout
        timeouts.connect = defaults.connectTimeout
        timeouts.idle = defaults.idleTimeout
        return ListenerConfiguration(
            name: name, listen: listen, databaseProtocol: databaseProtocol, backend: try SocketAddress.resolve(backend),
            certificateRole: certificate, trustsCluster: trust.contains(.cluster), anchors: anchors,
            policy: try policy(),
            minimumTLS: defaults.minimumTLS == .v13 ? .tls13 : .tls12, timeouts: timeouts,
            acknowledgesLocalTrust: acknowledgesLocalTrust, explainsCertificateRefusals: explainsCertificateRefusals)
    }
}
