import IO
import OpenSSL
import Reports
import Synchronization

/// One listener as all lanes see it: what it is configured to be, and the TLS context that new handshakes use.
final class ListenerState: Sendable {
    private struct Changing {
        var admission: (contexts: ListenerContexts, standing: Standing)?
        var policy: AccessPolicy
        var denyLists: [DenyList] = []
        /// Not of a file.
        var denied: DenyList
        var all: [DenyList] { denied.count == 0 ? denyLists : denyLists + [denied] }
        /// The end of trust that was last acted on.
        var ended: Int64?
        var trust: ListenerTrust
        var backendTrust: ListenerTrust?
        var addresses: [SocketAddress] = []
        var waysAround: [String] = []
    }

    let configuration: ListenerConfiguration
    /// Its place among the proxy's listeners.
    let number: Int
    let counters: ListenerCounters
    /// Its database can be reached around it, and then clients are refused.
    let isShut = Atomic(false)
    /// All that it waits for is the cluster's first list.
    let lacksList = Atomic(false)
    let backendHealth: BackendHealth
    /// nil: nobody resumes a session.
    let ticketKeys: TicketKeys?
    /// nil: its backend has addresses, or was looked up at the start.
    let lookup: RemoteLookup?
    private let changing: Mutex<Changing>

    /// `denied`: beside the lists in files.
    init(_ configuration: ListenerConfiguration, number: Int, denied: DenyList, metrics: Metrics) {
        self.configuration = configuration
        self.number = number
        let health = BackendHealth(configuration.backend, configuration.health)
        backendHealth = health
        ticketKeys = configuration.resumesSessions ? TicketKeys() : nil
        lookup = configuration.tunnel.flatMap { tunnel in
            guard SocketAddress(tunnel.remote) == nil else { return nil }
            return RemoteLookup(tunnel.remote, label: "lookup-\(configuration.name)") { health.adopt($0) }
        }
        let trust = ListenerTrust(
            trustsCluster: configuration.trustsCluster, anchors: configuration.anchors,
            files: configuration.anchorFiles)
        changing = Mutex(
            Changing(
                policy: configuration.policy, denied: denied, trust: trust,
                backendTrust: configuration.backendTLS?.trust))
        counters = ListenerCounters(
            label: (configuration.tunnel == nil ? "listener" : "tunnel", configuration.name), metrics: metrics)
    }

    var name: String { configuration.name }

    /// nil until the first identity and trust were published.
    var context: TLSContext? { changing.withLock { $0.admission?.contexts.presenting } }

    /// What new handshakes use, and what their peers are held to.
    var admission: (contexts: ListenerContexts, standing: Standing)? { changing.withLock { $0.admission } }

    var standing: Standing? { changing.withLock { $0.admission?.standing } }

    /// Handshakes that have begun, and live connections, keep the context that they have.
    func adopt(_ contexts: ListenerContexts) {
        changing.withLock { take(contexts, changesStanding: true, &$0) }
    }

    /// Who was let in is judged again only if there is something to judge by.
    private func take(_ contexts: ListenerContexts, changesStanding: Bool, _ changing: inout Changing) {
        let anchors = contexts.anchors
        let before = changing.admission?.standing
        let isSame = before?.trust.certificates == anchors.certificates
        var standing = Standing(
            generation: (before?.generation ?? 0) + (changesStanding || before == nil ? 1 : 0), trust: anchors,
            policy: changing.policy, denyLists: changing.all,
            authorities: (before?.authorities ?? 0) + (isSame ? 0 : 1),
            purpose: contexts.server == nil ? .server : .client)
        mark(&standing, contexts)
        changing.admission = (contexts.holding(standing), standing)
    }

    private func mark(_ standing: inout Standing, _ contexts: ListenerContexts) {
        standing.mark = ticketKeys.map { _ in SessionMark(of: name, contexts, standing) }
    }

    var denyLists: [DenyList] { changing.withLock { $0.all } }

    var denied: DenyList { changing.withLock { $0.denied } }

    /// The list entry that denies such a peer.
    func denial(of peer: PeerAttributes, _ authorities: [PeerAttributes]) -> String? {
        denyLists.lazy.compactMap { $0.denial(of: peer, authorities) }.first
    }

    func adopt(_ denyLists: [DenyList]) {
        changing.withLock { changing in
            changing.denyLists = denyLists
            renew(&changing)
        }
    }

    /// True once for each list that ends, when what was verified under the trust of now must be judged again.
    func trustEnded(at unixSeconds: Int64) -> Bool {
        changing.withLock { changing in
            guard let end = changing.admission?.standing.trust.lastEnd(at: unixSeconds), changing.ended != end else {
                return false
            }
            changing.ended = end
            // Who was verified before, and is on the way to a data lane, is judged when he comes.
            renew(&changing)
            return true
        }
    }

    private func renew(_ changing: inout Changing) {
        guard let (contexts, before) = changing.admission else { return }
        var standing = Standing(
            generation: before.generation + 1, trust: before.trust, policy: changing.policy,
            denyLists: changing.all, authorities: before.authorities, purpose: before.purpose)
        mark(&standing, contexts)
        changing.admission = (contexts.holding(standing), standing)
    }

    /// The rules of now; at first those of the configuration.
    var policy: AccessPolicy { changing.withLock { $0.policy } }

    /// Whose clients it lets in now; at first as the configuration says.
    var trust: ListenerTrust { changing.withLock { $0.trust } }

    /// Who certifies its database now; nil: nobody has to.
    var backendTrust: ListenerTrust? { changing.withLock { $0.backendTrust } }

    /// Certificate, trust and rules in one step: no handshake sees some of it.
    func adopt(_ step: TestedChange.Step) {
        changing.withLock { changing in
            (changing.policy, changing.trust) = (step.policy, step.trust)
            changing.backendTrust = step.backendTrust
            if let denied = step.denied { changing.denied = denied }
            guard let contexts = step.contexts ?? changing.admission?.contexts else { return }
            take(contexts, changesStanding: step.changesStanding, &changing)
        }
    }

    /// With their real ports; empty while nothing is bound.
    var addresses: [SocketAddress] { changing.withLock { $0.addresses } }

    /// True if this is news.
    func exposed(at ways: [String], mustRefuse: Bool) -> Bool {
        isShut.store(mustRefuse && !ways.isEmpty, ordering: .relaxed)
        return changing.withLock { changing in
            defer { changing.waysAround = ways }
            return changing.waysAround != ways
        }
    }

    func bound(_ addresses: [SocketAddress]) { changing.withLock { $0.addresses = addresses } }

    /// Its part of the status document.
    func document(isDraining: Bool) -> JSONValue {
        let (context, addresses, ways) = changing.withLock {
            ($0.admission?.contexts.presenting, $0.addresses, $0.waysAround)
        }
        let waiting = lacksList.load(ordering: .relaxed) ? "waiting-for-crl" : "waiting-for-certificate"
        let state = isDraining ? "draining" : addresses.isEmpty ? "closed" : context == nil ? waiting : "open"
        var members: [String: JSONValue] = [
            "name": .string(name),
            "addresses": .strings((addresses.isEmpty ? configuration.listen : addresses).map(\.description)),
            "protocol": .string(configuration.databaseProtocol.rawValue),
            "state": .string(state),
            "open": .count(counters.openCount),
            "accepted": .count(counters.accepted.value),
            "refused": .object(counters.refused.mapValues { .count($0) }),
            "certificate": context?.identity.map { .string($0.leaf.serial) } ?? .null,
            "certificates": .array((context?.shown ?? []).map(Self.document)),
        ]
        members.merge(configuration.tunnel.map(document) ?? documentOfDatabase(exposedAt: ways)) { $1 }
        members.merge(revocationMembers(at: Timestamp.now.seconds)) { $1 }
        return .object(members)
    }

    /// Of one that is shown to who asks for these names.
    private static func document(_ certificate: Certificate, _ names: [String]) -> JSONValue {
        ["serial": .string(certificate.serial), "names": .strings(names)]
    }

    private func documentOfDatabase(exposedAt ways: [String]) -> [String: JSONValue] {
        [
            "backend": .strings(configuration.backend.map(\.description)),
            "backend_tls": .string(configuration.backendTLS?.mode.rawValue ?? "off"),
            "proxy_protocol": .string(configuration.sendsProxyHeader ? "v2" : "off"),
            "session_resumption": [
                "enabled": .boolean(ticketKeys != nil), "resumed": .count(counters.ticketsResumed.value),
                "declined": .count(counters.ticketsDeclined.value),
            ],
            "accepts_proxy_protocol": .strings(configuration.announcingProxies.map(\.description)),
            "backends": .array(backendHealth.findings.map(\.document)),
            "exposed_at": .strings(ways),
            "mode": .string(policy.mode.rawValue),
            "tolerated": .object(counters.tolerated.mapValues { .count($0) }),
        ]
    }
}
