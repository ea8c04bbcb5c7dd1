/// Who may begin, who must wait, and who has to make room: budgets for peers that have not proven themselves, apart
/// from those for peers that have.
///
/// One for the whole proxy. A full budget of unauthenticated connections closes the one that has been silent longest
/// and never the newcomer, so that idle connections of a stranger lock nobody out. Its tables are bounded by its
/// limits.
struct AdmissionStateMachine {
    enum Action: Equatable {
        case admit
        /// The newcomer is admitted; this one makes room.
        case admitEvicting(UInt64)
        case beginHandshake
        /// A place in the queue of handshakes is kept: begin after this long.
        case delayHandshake(Duration)
        case refuse(RefusalReason)
    }

    /// A handshake that would have to wait longer is not worth its place.
    static let longestDelay = Duration.seconds(2)

    private struct Pending {
        var address: PeerNetwork
        var isAuthenticated = false
    }

    private let limits: ProxyLimits
    private var silence = SilenceList()
    private var connections: [UInt64: Pending] = [:]
    private var networks: NetworkTable
    private var handshakes: TokenBucket
    private(set) var authenticatedCount = 0

    init(limits: ProxyLimits) {
        self.limits = limits
        networks = NetworkTable(limits: limits)
        handshakes = TokenBucket(rate: limits.handshakesPerSecond)
    }

    var unauthenticatedCount: Int { silence.count }

    mutating func arrived(_ id: UInt64, from address: PeerNetwork, at time: Duration) -> Action {
        if let refusal = networks.arrived(address, at: time) { return .refuse(refusal) }
        var evicted = longestSilent(ofFull: address)
        if evicted == nil, silence.count >= limits.unauthenticated {
            evicted = silence.longest { _ in true }
        }
        if let evicted { departed(evicted) }
        connections[id] = Pending(address: address)
        networks.change(address) { $0.pending += 1 }
        silence.append(id)
        return evicted.map(Action.admitEvicting) ?? .admit
    }

    /// A listed proxy has said where the connection comes from: the budgets of that address count from here on.
    mutating func announced(_ id: UInt64, from address: PeerNetwork, at time: Duration) -> Action {
        guard let connection = connections[id], !connection.isAuthenticated else { return .refuse(.evicted) }
        if let refusal = networks.arrived(address, at: time) { return .refuse(refusal) }
        let evicted = longestSilent(ofFull: address)
        if let evicted { departed(evicted) }
        networks.change(connection.address) { $0.pending -= 1 }
        connections[id]?.address = address
        networks.change(address) { $0.pending += 1 }
        return evicted.map(Action.admitEvicting) ?? .admit
    }

    /// nil while the address's own budget has room.
    private func longestSilent(ofFull address: PeerNetwork) -> UInt64? {
        guard address != .unannounced, let limit = limits.perAddress.unauthenticated,
            networks.pending(address) >= limit
        else { return nil }
        return silence.longest { connections[$0]?.address == address }
    }

    /// An unauthenticated connection brought bytes.
    mutating func spoke(_ id: UInt64) {
        if connections[id]?.isAuthenticated == false { silence.moveToEnd(id) }
    }

    /// Called once a connection, when its first byte of TLS is there: a silent one costs no place in the queue.
    mutating func handshakeRequested(_ id: UInt64, at time: Duration) -> Action {
        let delay = handshakes.reserve(at: time, within: Self.longestDelay)
        guard let delay else { return .refuse(.handshakeRate) }
        return delay == .zero ? .beginHandshake : .delayHandshake(delay)
    }

    /// The peer is verified and allowed: it moves to the other budget, or stays where it is until it departs.
    mutating func authenticated(_ id: UInt64) -> Action {
        guard let connection = connections[id], !connection.isAuthenticated else { return .refuse(.evicted) }
        guard authenticatedCount < limits.connections else { return .refuse(.connectionLimit) }
        if connection.address != .unannounced, let limit = limits.perAddress.connections,
            networks.authenticated(connection.address) >= limit
        {
            return .refuse(.addressConnectionLimit)
        }
        connections[id]?.isAuthenticated = true
        authenticatedCount += 1
        silence.remove(id)
        networks.change(connection.address) {
            $0.pending -= 1
            $0.authenticated += 1
        }
        return .admit
    }

    /// The peer did what no honest client does.
    mutating func misbehaved(_ id: UInt64, at time: Duration) {
        if let connection = connections[id] { networks.misbehaved(connection.address, at: time) }
    }

    /// Unknown ones were evicted before.
    mutating func departed(_ id: UInt64) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        if connection.isAuthenticated { authenticatedCount -= 1 } else { silence.remove(id) }
        networks.change(connection.address) {
            if connection.isAuthenticated { $0.authenticated -= 1 } else { $0.pending -= 1 }
        }
    }
}
