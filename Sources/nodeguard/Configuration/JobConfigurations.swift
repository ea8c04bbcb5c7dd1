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
        let mistakes = fileMistakes
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
    /// What is wrong with the files that listeners name: authorities, CRLs, deny lists and maps. One line each.
    var fileMistakes: [String] {
        proxy.listeners.flatMap { listener in
            var mistakes: [String] = []
            var authorities: [Certificate] = []
            for case .file(let path) in listener.trust {
                do { authorities += try listener.authorities(in: path) } catch {
                    mistakes.append("listener \(listener.name): trust \"file:\(path)\": \(error)")
                }
            }
            for path in listener.revocation?.files ?? [] {
                do { _ = try RevocationList.parse(contentsOf: path, issuers: authorities) } catch {
                    mistakes.append("listener \(listener.name): crl \"file:\(path)\": \(error)")
                }
            }
            for path in listener.denyLists(proxy.defaults) {
                do { _ = try DenyList(path: path) } catch {
                    mistakes.append("listener \(listener.name): deny-list: \(error)")
                }
            }
            return mistakes
        } + ruleFileMistakes
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

    /// What holds for all listeners, and its own.
    func denyLists(_ defaults: ProxySection.Defaults) -> [String] {
        var all: [String] = []
        for path in [defaults.denyList, denyList] { if let path, !all.contains(path) { all.append(path) } }
        return all
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
        var configuration = ListenerConfiguration(
            name: name, listen: listen, databaseProtocol: databaseProtocol, backend: try SocketAddress.resolve(backend),
            certificateRole: certificate, trustsCluster: trust.contains(.cluster), anchors: anchors,
            policy: try policy(),
            minimumTLS: defaults.minimumTLS == .v13 ? .tls13 : .tls12, timeouts: timeouts,
            acknowledgesLocalTrust: acknowledgesLocalTrust, explainsCertificateRefusals: explainsCertificateRefusals)
        configuration.revocation = revocation
        configuration.denyLists = denyLists(defaults)
        return configuration
    }
}
