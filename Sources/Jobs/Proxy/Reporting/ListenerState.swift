import IO
import OpenSSL
import Reports
import Synchronization

/// One listener as all lanes see it: what it is configured to be, and the TLS context that new handshakes use.
final class ListenerState: Sendable {
    private struct Changing {
        var admission: (context: TLSContext, standing: Standing)?
        var policy: AccessPolicy
        var trust: ListenerTrust
        var addresses: [SocketAddress] = []
    }

    let configuration: ListenerConfiguration
    let counters: ListenerCounters
    private let changing: Mutex<Changing>

    init(_ configuration: ListenerConfiguration, metrics: Metrics) {
        self.configuration = configuration
        let trust = ListenerTrust(trustsCluster: configuration.trustsCluster, anchors: configuration.anchors)
        changing = Mutex(Changing(policy: configuration.policy, trust: trust))
        counters = ListenerCounters(listener: configuration.name, metrics: metrics)
    }

    var name: String { configuration.name }

    /// nil until the first identity and trust were published.
    var context: TLSContext? { changing.withLock { $0.admission?.context } }

    /// What new handshakes use, and what their peers are held to.
    var admission: (context: TLSContext, standing: Standing)? { changing.withLock { $0.admission } }

    var standing: Standing? { changing.withLock { $0.admission?.standing } }

    /// Handshakes that have begun, and live connections, keep the context that they have.
    func adopt(_ context: TLSContext, _ trust: TrustAnchors) {
        changing.withLock { changing in
            let generation = (changing.admission?.standing.generation ?? 0) + 1
            let standing = Standing(generation: generation, trust: trust, policy: changing.policy)
            changing.admission = (context, standing)
        }
    }

    /// The rules of now; at first those of the configuration.
    var policy: AccessPolicy { changing.withLock { $0.policy } }

    /// Whose clients it lets in now; at first as the configuration says.
    var trust: ListenerTrust { changing.withLock { $0.trust } }

    /// Certificate, trust and rules in one step: no handshake sees some of it.
    func adopt(_ step: TestedChange.Step) {
        changing.withLock { changing in
            (changing.policy, changing.trust) = (step.policy, step.trust)
            let before = changing.admission
            guard let context = step.admission?.context ?? before?.context,
                let anchors = step.admission?.anchors ?? before?.standing.trust
            else { return }
            // Who was let in is judged again only if there is something to judge by.
            let generation = (before?.standing.generation ?? 0) + (step.changesStanding || before == nil ? 1 : 0)
            changing.admission = (context, Standing(generation: generation, trust: anchors, policy: step.policy))
        }
    }

    /// With their real ports; empty while nothing is bound.
    var addresses: [SocketAddress] { changing.withLock { $0.addresses } }

    func bound(_ addresses: [SocketAddress]) { changing.withLock { $0.addresses = addresses } }

    /// Its part of the status document.
    func document(isDraining: Bool) -> JSONValue {
        let (context, addresses) = changing.withLock { ($0.admission?.context, $0.addresses) }
        let state =
            isDraining ? "draining" : addresses.isEmpty ? "closed" : context == nil ? "waiting-for-certificate" : "open"
        return [
            "name": .string(name),
            "addresses": .strings((addresses.isEmpty ? configuration.listen : addresses).map(\.description)),
            "protocol": .string(configuration.databaseProtocol.rawValue),
            "backend": .strings(configuration.backend.map(\.description)),
            "state": .string(state),
            "open": .count(counters.openCount),
            "accepted": .count(counters.accepted.value),
            "refused": .object(counters.refused.mapValues { .count($0) }),
            "certificate": context?.identity.map { .string($0.leaf.serial) } ?? .null,
        ]
    }
}
