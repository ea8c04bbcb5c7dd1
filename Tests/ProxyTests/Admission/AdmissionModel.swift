@testable import Proxy

/// What admission promises, in the plainest form: lists that are searched, and tables without bounds.
struct AdmissionModel {
    struct Client {
        let id: UInt64
        let network: PeerNetwork
        var isAuthenticated = false
    }

    let limits: ProxyLimits
    /// The one that has been silent longest first; proven ones too.
    var clients: [Client] = []
    private var buckets: [PeerNetwork: TokenBucket] = [:]
    private var failures: [PeerNetwork: (count: Int, since: Duration)] = [:]
    var bans: [PeerNetwork: Duration] = [:]

    init(_ limits: ProxyLimits) { self.limits = limits }

    private var scopes: [(limits: ProxyLimits.PerKey, key: (PeerNetwork) -> PeerNetwork)] {
        [(limits.perAddress, { $0 }), (limits.perPrefix, { $0.prefix })]
    }

    /// Who had to go; nil: refused.
    mutating func arrives(_ id: UInt64, _ network: PeerNetwork, at time: Duration) -> [UInt64]? {
        if let end = bans[network], end > time { return nil }
        for (limits, key) in scopes {
            let count = clients.count { $0.isAuthenticated && key($0.network) == key(network) }
            if let limit = limits.connections, count >= limit { return nil }
            guard let rate = limits.rate else { continue }
            var bucket = buckets[key(network)] ?? TokenBucket(rate: rate)
            defer { buckets[key(network)] = bucket }
            if bucket.reserve(at: time, within: .zero) == nil { return nil }
        }
        var gone: [UInt64] = []
        for (limits, key) in scopes {
            evict(&gone, limits.unauthenticated) { key($0.network) == key(network) }
        }
        evict(&gone, limits.unauthenticated) { _ in true }
        clients.append(Client(id: id, network: network))
        return gone
    }

    private mutating func evict(_ gone: inout [UInt64], _ limit: Int?, _ isMeant: (Client) -> Bool) {
        let silent = clients.filter { !$0.isAuthenticated && isMeant($0) }
        guard let limit, silent.count >= limit, let first = silent.first else { return }
        gone.append(first.id)
        departs(first.id)
    }

    mutating func authenticates(_ id: UInt64) -> Bool {
        guard let index = clients.firstIndex(where: { $0.id == id && !$0.isAuthenticated }) else { return false }
        let network = clients[index].network
        if clients.count(where: \.isAuthenticated) >= limits.connections { return false }
        for (limits, key) in scopes {
            let count = clients.count { $0.isAuthenticated && key($0.network) == key(network) }
            if let limit = limits.connections, count >= limit { return false }
        }
        clients[index].isAuthenticated = true
        return true
    }

    mutating func speaks(_ id: UInt64) {
        guard let index = clients.firstIndex(where: { $0.id == id && !$0.isAuthenticated }) else { return }
        clients.append(clients.remove(at: index))
    }

    mutating func departs(_ id: UInt64) { clients.removeAll { $0.id == id } }

    mutating func misbehaves(_ id: UInt64, at time: Duration) {
        guard let rules = limits.ban, let client = clients.first(where: { $0.id == id }) else { return }
        var (count, since) = failures[client.network] ?? (0, .zero)
        if time - since > rules.within { (count, since) = (0, time) }
        count += 1
        if count >= rules.failures {
            bans[client.network] = time + rules.duration
            count = 0
        }
        failures[client.network] = (count, since)
    }
}
