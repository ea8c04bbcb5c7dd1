/// Who may begin, who must wait, and who has to make room: budgets for peers that have not proven themselves, apart
/// from those for peers that have.
///
/// One for the whole proxy. A full budget of unauthenticated connections closes the one that has been silent longest
/// and never the newcomer, so that idle connections of a stranger lock nobody out. Its tables are bounded by its
/// limits, and every step takes constant time.
struct AdmissionStateMachine {
    /// A client that was taken out of a port's backlog; nothing has been read of it.
    struct Newcomer {
        let id: UInt64
        let network: PeerNetwork
        /// Its number.
        let listener: Int
    }

    /// Somebody who makes room, and what for.
    struct Eviction: Equatable {
        let id: UInt64
        let excess: Excess
    }

    enum Arrival: Equatable {
        /// More than one have to go only where the newcomer's address and its listener are both full.
        case admit(evicting: [Eviction])
        case refuse(Excess)
    }

    enum Turn: Equatable {
        case begin
        /// A place in the queue of handshakes is kept: begin after this long.
        case wait(Duration)
        case refuse(Excess)
    }

    enum Verdict: Equatable {
        case admit
        case refuse(Excess)
        /// It was evicted before.
        case gone
    }

    /// A handshake that would have to wait longer is not worth its place.
    static let longestDelay = Duration.seconds(2)
    /// Networks that are remembered beyond those with an open connection.
    static let spare = 4096

    private struct Connection {
        let id: UInt64
        let network: PeerNetwork
        let listener: Int
        /// Places in the tables; nil where nothing is limited.
        let address: Int?
        let prefix: Int?
        var isAuthenticated = false
    }

    private let limits: ProxyLimits
    private var connections: [Connection] = []
    private var places: [UInt64: Int] = [:]
    private var free: [Int] = []
    private var order = PlaceLists()
    private var silent = PlaceLists.List()
    private var addresses: KeyedBudgets<PeerNetwork>?
    private var prefixes: KeyedBudgets<PeerNetwork>?
    private var handshakes: TokenBucket
    private(set) var bans = BanTable()
    private(set) var authenticatedCount = 0

    init(limits: ProxyLimits) {
        self.limits = limits
        handshakes = TokenBucket(rate: limits.handshakesPerSecond)
        let capacity = limits.connections + limits.unauthenticated + Self.spare
        if !limits.perAddress.isOff || limits.ban != nil {
            addresses = KeyedBudgets(limits.perAddress, capacity: capacity) { .address($0) }
        }
        if !limits.perPrefix.isOff { prefixes = KeyedBudgets(limits.perPrefix, capacity: capacity) { .prefix($0) } }
    }

    var unauthenticatedCount: Int { silent.count }
    /// Addresses and prefixes that are remembered.
    var rememberedCount: Int { (addresses?.count ?? 0) + (prefixes?.count ?? 0) }

    // MARK: before authentication

    mutating func arrived(_ newcomer: Newcomer, at time: Duration) -> Arrival {
        if let left = bans.remaining(newcomer.network, at: time) { return .refuse(.ban(newcomer.network, left: left)) }
        do throws(Excess) {
            // An address beyond its rate must not use up that of its neighbours.
            let address = try addresses?.arrived(newcomer.network, at: time)
            let prefix = try prefixes?.arrived(newcomer.network.prefix, at: time)
            let evictions = makeRoom(address, prefix)
            add(
                Connection(
                    id: newcomer.id, network: newcomer.network, listener: newcomer.listener, address: address,
                    prefix: prefix))
            return .admit(evicting: evictions)
        } catch { return .refuse(error) }
    }

    /// Narrow budgets first: who goes for the sake of one makes room in the wider ones too.
    private mutating func makeRoom(_ address: Int?, _ prefix: Int?) -> [Eviction] {
        var evictions: [Eviction] = []
        if let address, let (place, excess) = addresses?.overdue(address) { evictions.append(evict(place, excess)) }
        if let prefix, let (place, excess) = prefixes?.overdue(prefix) { evictions.append(evict(place, excess)) }
        if silent.count >= limits.unauthenticated, let place = silent.front {
            evictions.append(evict(place, .budget(.proxy, .unauthenticated, limit: limits.unauthenticated)))
        }
        return evictions
    }

    private mutating func evict(_ place: Int, _ excess: Excess) -> Eviction {
        defer { remove(place) }
        return Eviction(id: connections[place].id, excess: excess)
    }

    /// An unauthenticated connection brought bytes.
    mutating func spoke(_ id: UInt64) {
        guard let place = places[id], !connections[place].isAuthenticated else { return }
        order.moveToEnd(place, of: &silent)
        if let address = connections[place].address { addresses?.spoke(place, address) }
        if let prefix = connections[place].prefix { prefixes?.spoke(place, prefix) }
    }

    /// Called once a connection, when its first byte of TLS is there: a silent one costs no place in the queue.
    mutating func handshakeRequested(_ id: UInt64, at time: Duration) -> Turn {
        guard let delay = handshakes.reserve(at: time, within: Self.longestDelay) else {
            return .refuse(.budget(.proxy, .rate, limit: limits.handshakesPerSecond))
        }
        return delay == .zero ? .begin : .wait(delay)
    }

    /// The peer did what no honest client does.
    mutating func misbehaved(_ id: UInt64, _ reason: RefusalReason, at time: Duration) -> [BanEvent] {
        guard let rules = limits.ban, let place = places[id], let address = connections[place].address,
            addresses?.failed(address, at: time, rules) == true
        else { return [] }
        return bans.began(
            Ban(
                network: connections[place].network, began: time, until: time + rules.duration, reason: reason,
                listener: connections[place].listener))
    }

    mutating func expireBans(at time: Duration) -> [BanEvent] { bans.expire(at: time) }

    /// Of a network; nil: all.
    mutating func liftBans(_ network: PeerNetwork?) -> [BanEvent] { bans.lift(network) }

    // MARK: after it

    /// The peer is verified and allowed: it moves to the other budget, or stays where it is until it departs.
    mutating func authenticated(_ id: UInt64) -> Verdict {
        guard let place = places[id], !connections[place].isAuthenticated else { return .gone }
        let (address, prefix) = (connections[place].address, connections[place].prefix)
        do throws(Excess) {
            guard authenticatedCount < limits.connections else {
                throw .budget(.proxy, .connections, limit: limits.connections)
            }
            if let address { try addresses?.checkConnections(address) }
            if let prefix { try prefixes?.checkConnections(prefix) }
        } catch { return .refuse(error) }
        leaveSilence(place)
        connections[place].isAuthenticated = true
        count(place, 1)
        return .admit
    }

    /// Unknown ones were evicted before.
    mutating func departed(_ id: UInt64) {
        if let place = places[id] { remove(place) }
    }

    // MARK: places

    private mutating func add(_ connection: Connection) {
        let place: Int
        if let reused = free.popLast() {
            connections[reused] = connection
            place = reused
        } else {
            place = connections.count
            connections.append(connection)
        }
        let before = places.updateValue(place, forKey: connection.id)
        precondition(before == nil, "a connection arrives once")
        order.append(place, to: &silent)
        if let address = connection.address {
            addresses?.hold(address)
            addresses?.joined(place, address)
        }
        if let prefix = connection.prefix {
            prefixes?.hold(prefix)
            prefixes?.joined(place, prefix)
        }
    }

    private mutating func leaveSilence(_ place: Int) {
        order.remove(place, from: &silent)
        if let address = connections[place].address { addresses?.left(place, address) }
        if let prefix = connections[place].prefix { prefixes?.left(place, prefix) }
    }

    private mutating func count(_ place: Int, _ change: Int) {
        authenticatedCount += change
        if let address = connections[place].address { addresses?.authenticated(address, by: change) }
        if let prefix = connections[place].prefix { prefixes?.authenticated(prefix, by: change) }
    }

    private mutating func remove(_ place: Int) {
        if connections[place].isAuthenticated { count(place, -1) } else { leaveSilence(place) }
        if let address = connections[place].address { addresses?.release(address) }
        if let prefix = connections[place].prefix { prefixes?.release(prefix) }
        places[connections[place].id] = nil
        free.append(place)
    }
}
