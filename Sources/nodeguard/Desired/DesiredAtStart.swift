import Certificates
import IO
import Management
import OpenSSL
import PlaneAPI
import Proxy

/// The desired state that this node had applied, before its first port opens: verified again under what it trusts now,
/// and in the terms of its configuration of now. What cannot be used keeps everybody out, because nobody knows whom it
/// had denied.
struct DesiredAtStart {
    let stored: StoredDesiredState
    let overlay: DesiredOverlay

    /// `isForOthers`: whoever asks may not be allowed to read the node's state, and then hears of its configuration.
    init(_ configuration: NodeConfiguration, cluster: String, isForOthers: Bool = false) {
        let state = configuration.node.state
        guard configuration.management?.isDirected == true, !isForOthers || Self.isReadable(state) else {
            (stored, overlay) = (.none, DesiredOverlay())
            return
        }
        let reader = VerifiedDesiredState.Reader(
            cluster: cluster, node: configuration.node.name, version: Nodeguard.version)
        let trust = (try? TrustStore(stateDirectory: state).load())?.trust
        let found = StoredDesiredState.load(
            stateDirectory: state, for: reader, roots: trust?.anchors.certificates ?? [])
        switch found {
        case .none: (stored, overlay) = (found, DesiredOverlay())
        case .unusable: (stored, overlay) = (found, DesiredOverlay(closing: configuration))
        case .verified(let verified):
            do throws(DesiredRefusal) {
                overlay = try DesiredOverlay(verified.state.content, on: configuration)
                stored = found
            } catch {
                (stored, overlay) = (.unusable(error), DesiredOverlay(closing: configuration))
            }
        }
    }

    private static func isReadable(_ state: String) -> Bool { (try? Files.list(state)) != nil }
}

extension ProxyConfiguration {
    /// The same, with less allowed.
    func narrowed(by overlay: DesiredOverlay) -> ProxyConfiguration {
        var narrowed = self
        narrowed.denied = overlay.denied
        for index in narrowed.listeners.indices {
            guard let narrowing = overlay.narrowings[narrowed.listeners[index].name] else { continue }
            narrowed.listeners[index].policy = narrowed.listeners[index].policy.narrowed(by: narrowing)
        }
        return narrowed
    }
}

extension CertificatesConfiguration {
    /// The same, with other names of roles.
    func named(by overlay: DesiredOverlay) -> CertificatesConfiguration {
        var named = self
        named.names = overlay.names
        return named
    }
}
