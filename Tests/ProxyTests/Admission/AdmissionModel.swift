@testable import Proxy

/// What admission promises, in the plainest form: lists that are searched, and tables without bounds.
struct AdmissionModel {
    struct Client {
        let client: AdmissionStateMachine.Newcomer
        var isReserved: Bool
        var isAuthenticated = false
        var identity: PeerIdentity?
    }

    private(set) var limits: ProxyLimits
    private(set) var listeners: [ProxyLimits.PerListener]
    /// Since the first limit of them: whom nobody asked is not known.
    private var countsIdentities: Bool
    /// The one that has been silent longest first; proven ones too.
    var clients: [Client] = []
    private var addresses: [PeerNetwork: TokenBucket] = [:]
    private var prefixes: [PeerNetwork: TokenBucket] = [:]
    private var identities: [PeerIdentity: TokenBucket] = [:]
    private var failures: [PeerNetwork: (count: Int, since: Duration)] = [:]
    var bans: [PeerNetwork: Duration] = [:]

    init(_ limits: ProxyLimits, _ listeners: [ProxyLimits.PerListener]) {
        self.limits = limits
        self.listeners = listeners
        countsIdentities = !limits.perIdentity.isOff
    }

    mutating func changes(
        _ new: ProxyLimits, _ newListeners: [ProxyLimits.PerListener], at time: Duration
    ) {
        Self.change(&addresses, new.perAddress.rate)
        Self.change(&prefixes, new.perPrefix.rate)
        Self.change(&identities, new.perIdentity.rate)
        if let ban = new.ban { bans = bans.mapValues { min($0, time + ban.duration) } }
        countsIdentities = countsIdentities || !new.perIdentity.isOff
        (limits, listeners) = (new, newListeners)
    }

    /// Where there was no rate, all begin anew.
    private static func change<Key: Hashable>(_ buckets: inout [Key: TokenBucket], _ rate: Int?) {
        guard let rate else { return buckets.removeAll() }
        for key in buckets.keys { buckets[key]?.change(rate: rate) }
    }

    /// Of those that stand in the budgets of everybody.
    private func count(isAuthenticated: Bool, _ isMeant: (Client) -> Bool) -> Int {
        clients.count { !$0.isReserved && $0.isAuthenticated == isAuthenticated && isMeant($0) }
    }

    private static func isFull(_ count: Int, _ limit: Int?) -> Bool { limit.map { count >= $0 } ?? false }

    private static func take<Key: Hashable>(
        _ buckets: inout [Key: TokenBucket], _ key: Key, _ rate: Int?, at time: Duration
    ) -> Bool {
        guard let rate else { return true }
        var bucket = buckets[key] ?? TokenBucket(rate: rate)
        defer { buckets[key] = bucket }
        return bucket.reserve(at: time, within: .zero) != nil
    }

    /// Who had to go; nil: refused.
    mutating func arrives(_ newcomer: AdmissionStateMachine.Newcomer, at time: Duration) -> [UInt64]? {
        let reserved = clients.count { $0.isReserved && !$0.isAuthenticated }
        if newcomer.isReserved, reserved < limits.reserved.unauthenticated {
            clients.append(Client(client: newcomer, isReserved: true))
            return []
        }
        let network = newcomer.origin
        if !newcomer.isReserved, let end = bans[network], end > time { return nil }
        let ofAddress = count(isAuthenticated: true) { $0.client.origin == network }
        if Self.isFull(ofAddress, limits.perAddress.connections) { return nil }
        guard Self.take(&addresses, network, limits.perAddress.rate, at: time) else { return nil }
        let ofPrefix = count(isAuthenticated: true) { $0.client.origin.prefix == network.prefix }
        if Self.isFull(ofPrefix, limits.perPrefix.connections) { return nil }
        guard Self.take(&prefixes, network.prefix, limits.perPrefix.rate, at: time) else { return nil }
        var gone: [UInt64] = []
        evict(&gone, limits.perAddress.unauthenticated) { $0.client.origin == network }
        evict(&gone, limits.perPrefix.unauthenticated) { $0.client.origin.prefix == network.prefix }
        evict(&gone, listeners[newcomer.listener].unauthenticated) { $0.client.listener == newcomer.listener }
        evict(&gone, limits.unauthenticated) { _ in true }
        clients.append(Client(client: newcomer, isReserved: false))
        return gone
    }

    private mutating func evict(_ gone: inout [UInt64], _ limit: Int?, _ isMeant: (Client) -> Bool) {
        let silent = clients.filter { !$0.isReserved && !$0.isAuthenticated && isMeant($0) }
        guard Self.isFull(silent.count, limit), let first = silent.first else { return }
        gone.append(first.client.id)
        departs(first.client.id)
    }

    mutating func authenticates(
        _ id: UInt64, as claim: AdmissionStateMachine.Claim, at time: Duration
    ) -> Bool {
        guard let index = clients.firstIndex(where: { $0.client.id == id && !$0.isAuthenticated }) else { return false }
        let isAllowed = mayAuthenticate(clients[index].client, claim, at: time)
        if !isAllowed {
            let taken = clients.count { $0.isReserved && $0.isAuthenticated }
            guard claim.isReserved, taken < limits.reserved.connections else { return false }
        }
        clients[index].isReserved = !isAllowed
        clients[index].isAuthenticated = true
        clients[index].identity = countsIdentities ? claim.identity : nil
        return true
    }

    private mutating func mayAuthenticate(
        _ client: AdmissionStateMachine.Newcomer, _ claim: AdmissionStateMachine.Claim, at time: Duration
    ) -> Bool {
        let network = client.origin
        let counts = [
            (count(isAuthenticated: true) { _ in true }, limits.connections),
            (
                count(isAuthenticated: true) { $0.client.listener == client.listener },
                listeners[client.listener].connections
            ),
            (count(isAuthenticated: true) { $0.client.origin == network }, limits.perAddress.connections),
            (
                count(isAuthenticated: true) { $0.client.origin.prefix == network.prefix },
                limits.perPrefix.connections
            ),
            (
                claim.identity == nil ? 0 : count(isAuthenticated: true) { $0.identity == claim.identity },
                limits.perIdentity.connections
            ),
        ]
        if counts.contains(where: { Self.isFull($0, $1) }) { return false }
        guard let identity = claim.identity else { return true }
        return Self.take(&identities, identity, limits.perIdentity.rate, at: time)
    }

    mutating func speaks(_ id: UInt64) {
        guard let index = clients.firstIndex(where: { $0.client.id == id && !$0.isAuthenticated }) else { return }
        clients.append(clients.remove(at: index))
    }

    mutating func departs(_ id: UInt64) { clients.removeAll { $0.client.id == id } }

    mutating func misbehaves(_ id: UInt64, at time: Duration) {
        guard let rules = limits.ban, let client = clients.first(where: { $0.client.id == id })?.client,
            !client.isReserved
        else { return }
        var (count, since) = failures[client.origin] ?? (0, .zero)
        if time - since > rules.within { (count, since) = (0, time) }
        count += 1
        if count >= rules.failures {
            bans[client.origin] = time + rules.duration
            count = 0
        }
        failures[client.origin] = (count, since)
    }
}

extension AdmissionStateMachine.Newcomer {
    /// In the model nobody comes through a proxy.
    fileprivate var origin: PeerNetwork { network ?? AdmissionSubject.network("0.0.0.0") }
}
