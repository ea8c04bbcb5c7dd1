/// Who may begin, who must wait, and who has to make room: budgets for peers that have not proven themselves, apart
/// from those for peers that have.
///
/// One for the whole proxy. A full budget of unauthenticated connections closes the one that has been silent longest
/// and never the newcomer, so that idle connections of a stranger lock nobody out. Its tables are bounded by its
/// limits, and every step takes constant time.
struct AdmissionStateMachine {
    /// A handshake that would have to wait longer is not worth its place.
    static let longestDelay = Duration.seconds(2)
    /// Networks that are remembered beyond those with an open connection.
    static let spare = 4096

    var limits: ProxyLimits
    /// How many there may be of each budget at a time: no table may be smaller.
    var most = Capacity()
    var connections: [Connection] = []
    private(set) var places: [UInt64: Int] = [:]
    private var free: [Int] = []
    private(set) var order = PlaceLists()
    private(set) var silent = PlaceLists.List()
    var listeners: [Listener]
    private var orderOfListeners = PlaceLists()
    /// nil: nothing was ever limited by it, as with the others.
    var addresses: KeyedBudgets<PeerNetwork>?
    var prefixes: KeyedBudgets<PeerNetwork>?
    var identities: KeyedBudgets<PeerIdentity>?
    var handshakes: TokenBucket
    var shedding: SheddingStateMachine
    var bans = BanTable()
    private var unreservedCount = 0
    private(set) var reservedSilentCount = 0
    private(set) var reservedAuthenticatedCount = 0

    /// `descriptors`: how many the process may have; nil: without limit.
    init(
        limits: ProxyLimits, listeners: [(name: String, limits: ProxyLimits.PerListener)], descriptors: Int? = nil
    ) {
        self.limits = limits
        self.listeners = listeners.map { Listener(name: $0.name, limits: $0.limits) }
        handshakes = TokenBucket(rate: limits.handshakesPerSecond)
        shedding = SheddingStateMachine(descriptors: descriptors)
        makeTables()
    }

    var authenticatedCount: Int { unreservedCount + reservedAuthenticatedCount }
    var unauthenticatedCount: Int { silent.count + reservedSilentCount }
    /// Addresses and prefixes that are remembered.
    var rememberedCount: Int { (addresses?.count ?? 0) + (prefixes?.count ?? 0) }

    // MARK: before authentication

    mutating func arrived(_ newcomer: Newcomer, at time: Duration) -> Arrival {
        let hasPlace = newcomer.isReserved && reservedSilentCount < limits.reserved.unauthenticated
        do throws(Excess) {
            try shedding.arrived(newcomer.descriptor, hasPlace: hasPlace, at: time)
        } catch { return .refuse(error) }
        if hasPlace {
            add(
                Connection(
                    client: newcomer, budget: .reservedSilent,
                    address: newcomer.network.flatMap { addresses?.place(of: $0) },
                    prefix: newcomer.network.flatMap { prefixes?.place(of: $0.prefix) }))
            return .admit(evicting: [])
        }
        do throws(Excess) {
            var known: (address: Int?, prefix: Int?)
            if let network = newcomer.network { known = try entered(network, newcomer, at: time) }
            let evictions = makeRoom(known.address, known.prefix) + makeRoom(on: newcomer.listener)
            add(Connection(client: newcomer, budget: .silent, address: known.address, prefix: known.prefix))
            return .admit(evicting: evictions)
        } catch { return .refuse(error) }
    }

    /// A listed proxy has said where the connection comes from: the budgets of that network count from here on.
    mutating func announced(
        _ id: UInt64, from network: PeerNetwork, isReserved: Bool, at time: Duration
    ) -> Arrival {
        // Who was evicted meanwhile is on its way out.
        guard let place = places[id], connections[place].budget == .silent else { return .admit(evicting: []) }
        let hasPlace = isReserved && reservedSilentCount < limits.reserved.unauthenticated
        var evictions: [Eviction] = []
        var known: (address: Int?, prefix: Int?)
        connections[place].client.isReserved = isReserved
        if hasPlace {
            known = (addresses?.place(of: network), prefixes?.place(of: network.prefix))
        } else {
            do throws(Excess) {
                known = try entered(network, connections[place].client, at: time)
            } catch { return .refuse(error) }
            evictions = makeRoom(known.address, known.prefix)
        }
        leave(place)
        connections[place].client.network = network
        connections[place].budget = hasPlace ? .reservedSilent : .silent
        (connections[place].address, connections[place].prefix) = known
        hold(connections[place])
        enter(place)
        return .admit(evicting: evictions)
    }

    /// Takes the tokens of a network.
    private mutating func entered(
        _ network: PeerNetwork, _ client: Newcomer, at time: Duration
    ) throws(Excess) -> (address: Int?, prefix: Int?) {
        if !client.isReserved, !client.isOfTunnel, let left = bans.remaining(network, at: time) {
            throw .ban(network, left: left)
        }
        // Who may prove to be one that a place is reserved for is judged when it has done so.
        let mayHavePlace =
            !limits.reserved.identities.isEmpty && reservedAuthenticatedCount < limits.reserved.connections
        // An address beyond its rate must not use up that of its neighbours.
        let address = try addresses?.arrived(network, at: time, judgesConnections: !mayHavePlace)
        return (address, try prefixes?.arrived(network.prefix, at: time, judgesConnections: !mayHavePlace))
    }

    /// Narrow budgets first: who goes for the sake of one makes room in the wider ones too.
    private mutating func makeRoom(_ address: Int?, _ prefix: Int?) -> [Eviction] {
        var evictions: [Eviction] = []
        if let address, let (place, excess) = addresses?.overdue(address) { evictions.append(evict(place, excess)) }
        if let prefix, let (place, excess) = prefixes?.overdue(prefix) { evictions.append(evict(place, excess)) }
        return evictions
    }

    private mutating func makeRoom(on number: Int) -> [Eviction] {
        var evictions: [Eviction] = []
        let listener = listeners[number]
        let limit = listener.limits.unauthenticated ?? .max
        if listener.silent.count >= limit, let place = listener.silent.front {
            evictions.append(evict(place, .budget(.listener(listener.name), .unauthenticated, limit: limit)))
        }
        if silent.count >= limits.unauthenticated, let place = silent.front {
            evictions.append(evict(place, .budget(.proxy, .unauthenticated, limit: limits.unauthenticated)))
        }
        return evictions
    }

    private mutating func evict(_ place: Int, _ excess: Excess) -> Eviction {
        defer { remove(place) }
        return Eviction(id: connections[place].client.id, excess: excess)
    }

    /// An unauthenticated connection brought bytes.
    mutating func spoke(_ id: UInt64) {
        guard let place = places[id], connections[place].budget == .silent else { return }
        order.moveToEnd(place, of: &silent)
        orderOfListeners.moveToEnd(place, of: &listeners[connections[place].client.listener].silent)
        if let address = connections[place].address { addresses?.spoke(place, address) }
        if let prefix = connections[place].prefix { prefixes?.spoke(place, prefix) }
    }

    /// Called once a connection, when its first byte of TLS is there: a silent one costs no place in the queue.
    mutating func handshakeRequested(_ id: UInt64, at time: Duration) -> Turn {
        // Of those there are only so many.
        if let place = places[id], connections[place].budget == .reservedSilent { return .begin }
        guard let delay = handshakes.reserve(at: time, within: Self.longestDelay) else {
            return .refuse(.budget(.proxy, .rate, limit: limits.handshakesPerSecond))
        }
        return delay == .zero ? .begin : .wait(delay)
    }

    /// The peer did what no honest client does.
    mutating func misbehaved(_ id: UInt64, _ reason: RefusalReason, at time: Duration) -> [BanEvent] {
        guard let rules = limits.ban, let place = places[id] else { return [] }
        let client = connections[place].client
        guard !client.isReserved, let network = client.network, let address = connections[place].address,
            addresses?.failed(address, at: time, rules) == true
        else { return [] }
        return bans.began(
            Ban(
                network: network, began: time, until: time + rules.duration, reason: reason,
                listener: client.listener))
    }

    mutating func expireBans(at time: Duration) -> [BanEvent] { bans.expire(at: time) }

    /// Of a network; nil: all.
    mutating func liftBans(_ network: PeerNetwork?) -> [BanEvent] { bans.lift(network) }

    // MARK: after it

    /// The peer is verified and allowed: it moves to the other budget, or stays where it is until it departs.
    mutating func authenticated(_ id: UInt64, as claim: Claim, at time: Duration) -> Verdict {
        guard let place = places[id], !connections[place].budget.isAuthenticated else { return .gone }
        do throws(Excess) {
            try checkConnections(place)
            // Last: it takes a token.
            if let identity = claim.identity, let known = try identities?.arrived(identity, at: time) {
                identities?.hold(known)
                connections[place].identity = known
            }
        } catch {
            guard claim.isReserved, reservedAuthenticatedCount < limits.reserved.connections else {
                return .refuse(error)
            }
            move(place, to: .reservedAuthenticated)
            return .admit
        }
        move(place, to: .authenticated)
        return .admit
    }

    private func checkConnections(_ place: Int) throws(Excess) {
        if unreservedCount >= limits.connections { throw .budget(.proxy, .connections, limit: limits.connections) }
        let connection = connections[place]
        let listener = listeners[connection.client.listener]
        if let limit = listener.limits.connections, listener.authenticated >= limit {
            throw .budget(.listener(listener.name), .connections, limit: limit)
        }
        if let address = connection.address { try addresses?.checkConnections(address) }
        if let prefix = connection.prefix { try prefixes?.checkConnections(prefix) }
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
        let before = places.updateValue(place, forKey: connection.client.id)
        precondition(before == nil, "a connection arrives once")
        hold(connection)
        enter(place)
    }

    private mutating func hold(_ connection: Connection) {
        if let address = connection.address { addresses?.hold(address) }
        if let prefix = connection.prefix { prefixes?.hold(prefix) }
    }

    private mutating func move(_ place: Int, to budget: Budget) {
        leave(place)
        connections[place].budget = budget
        enter(place)
    }

    private mutating func remove(_ place: Int) {
        leave(place)
        let connection = connections[place]
        if let address = connection.address { addresses?.release(address) }
        if let prefix = connection.prefix { prefixes?.release(prefix) }
        if let identity = connection.identity { identities?.release(identity) }
        places[connection.client.id] = nil
        free.append(place)
    }

    private mutating func enter(_ place: Int) {
        let connection = connections[place]
        switch connection.budget {
        case .silent:
            order.append(place, to: &silent)
            orderOfListeners.append(place, to: &listeners[connection.client.listener].silent)
            if let address = connection.address { addresses?.joined(place, address) }
            if let prefix = connection.prefix { prefixes?.joined(place, prefix) }
        case .reservedSilent: reservedSilentCount += 1
        case .authenticated: count(connection, 1)
        case .reservedAuthenticated: reservedAuthenticatedCount += 1
        }
    }

    private mutating func leave(_ place: Int) {
        let connection = connections[place]
        switch connection.budget {
        case .silent:
            order.remove(place, from: &silent)
            orderOfListeners.remove(place, from: &listeners[connection.client.listener].silent)
            if let address = connection.address { addresses?.left(place, address) }
            if let prefix = connection.prefix { prefixes?.left(place, prefix) }
        case .reservedSilent: reservedSilentCount -= 1
        case .authenticated: count(connection, -1)
        case .reservedAuthenticated: reservedAuthenticatedCount -= 1
        }
    }

    /// Who has a reserved place counts nowhere else.
    private mutating func count(_ connection: Connection, _ change: Int) {
        unreservedCount += change
        listeners[connection.client.listener].authenticated += change
        if let address = connection.address { addresses?.authenticated(address, by: change) }
        if let prefix = connection.prefix { prefixes?.authenticated(prefix, by: change) }
        if let identity = connection.identity { identities?.authenticated(identity, by: change) }
    }
}
