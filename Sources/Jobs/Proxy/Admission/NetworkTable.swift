import IO

/// Where a peer comes from, as limits count it: an IPv4 address, or an IPv6 network of 64 bits, which one host can
/// fill alone.
struct PeerNetwork: Hashable, Sendable {
    private let kind: UInt8
    private let bits: UInt64

    init(_ address: SocketAddress) {
        switch address {
        case .ipv4(let bytes, _): self.init(kind: 4, bytes[...])
        case .ipv6(let bytes, _):
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            if isMapped { self.init(kind: 4, bytes[12...]) } else { self.init(kind: 6, bytes[..<8]) }
        case .unix: self.init(kind: 0, [])
        }
    }

    /// A listed proxy's connection, for which no budget by address is meant: it stands for all of its clients.
    static let unannounced = PeerNetwork(kind: 1, [])

    private init(kind: UInt8, _ bytes: ArraySlice<UInt8>) {
        self.kind = kind
        bits = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Counts by network, of bounded size: what has no connection, no ban and no debt is forgotten when room is needed.
struct NetworkTable {
    struct Entry {
        var pending = 0
        var authenticated = 0
        var arrivals: TokenBucket?
        var failures = 0
        var failuresSince = Duration.zero
        var bannedUntil: Duration?
    }

    /// Networks that are remembered beyond those with an open connection.
    private static let spare = 4096

    private let limits: ProxyLimits
    private let capacity: Int
    private var entries: [PeerNetwork: Entry] = [:]

    init(limits: ProxyLimits) {
        self.limits = limits
        capacity = limits.connections + limits.unauthenticated + Self.spare
    }

    var count: Int { entries.count }

    func pending(_ network: PeerNetwork) -> Int { entries[network]?.pending ?? 0 }
    func authenticated(_ network: PeerNetwork) -> Int { entries[network]?.authenticated ?? 0 }

    mutating func change(_ network: PeerNetwork, _ body: (inout Entry) -> Void) {
        body(&entries[network, default: Entry()])
    }

    /// Why a connection from there must not begin, if so.
    mutating func arrived(_ network: PeerNetwork, at time: Duration) -> RefusalReason? {
        if network == .unannounced { return nil }
        if entries.count >= capacity, entries[network] == nil { forget(at: time) }
        var entry = entries[network] ?? Entry(arrivals: limits.perAddress.rate.map(TokenBucket.init(rate:)))
        defer { entries[network] = entry }
        if let end = entry.bannedUntil {
            if time < end { return .banned }
            entry.bannedUntil = nil
        }
        guard entry.arrivals != nil else { return nil }
        return entry.arrivals?.reserve(at: time, within: .zero) == nil ? .addressRate : nil
    }

    mutating func misbehaved(_ network: PeerNetwork, at time: Duration) {
        guard let ban = limits.ban, network != .unannounced else { return }
        change(network) { entry in
            if time - entry.failuresSince > ban.within { (entry.failures, entry.failuresSince) = (0, time) }
            entry.failures += 1
            if entry.failures >= ban.failures {
                entry.bannedUntil = time + ban.duration
                entry.failures = 0
            }
        }
    }

    /// Makes room for a quarter of the spare places at least, so that the sweep is rare; bans go last.
    private mutating func forget(at time: Duration) {
        let idle = entries.filter { $0.value.pending == 0 && $0.value.authenticated == 0 }
        for (network, entry) in idle where entry.bannedUntil.map({ $0 <= time }) ?? true {
            entries[network] = nil
        }
        let target = capacity - Self.spare / 4
        for network in idle.keys where entries.count > target { entries[network] = nil }
    }
}

/// A rate with a burst of one second's worth; a reservation may run into debt and is then told how long to wait.
struct TokenBucket {
    private let rate: Double
    private var tokens: Double
    private var filledAt = Duration.zero

    init(rate: Int) {
        self.rate = Double(max(1, rate))
        tokens = self.rate
    }

    /// How long to wait before the reserved token may be used; nil, and nothing reserved, if longer than `limit`.
    mutating func reserve(at time: Duration, within limit: Duration) -> Duration? {
        if time > filledAt {
            tokens = min(rate, tokens + (time - filledAt).seconds * rate)
            filledAt = time
        }
        let delay = tokens >= 1 ? Duration.zero : .seconds((1 - tokens) / rate)
        guard delay <= limit else { return nil }
        tokens -= 1
        return delay
    }
}
