/// An address that is refused for a while.
struct Ban: Equatable, Sendable {
    let network: PeerNetwork
    let began: Duration
    var until: Duration
    /// What the last of its failures was, and where.
    var reason: RefusalReason
    var listener: Int
}

/// What became of a ban.
enum BanEvent: Equatable, Sendable {
    enum Cause: String {
        case expired, command
        /// There was no room for all.
        case displaced
    }

    case began(Ban)
    case lifted(Ban, Cause)

    var ban: Ban {
        switch self {
        case .began(let ban), .lifted(let ban, _): ban
        }
    }
}

/// The bans that are in force, the one that ends first in front. Of a fixed size: when it is full, the one that would
/// end first gives way.
struct BanTable {
    static let capacity = 4096

    private var bans: [Ban] = []
    private var places: [PeerNetwork: Int] = [:]
    private var free: [Int] = []
    private var order = PlaceLists()
    private var line = PlaceLists.List()

    var count: Int { line.count }
    /// In no order.
    var all: [Ban] { places.values.map { bans[$0] } }

    /// How long the network stays banned; nil if it is not.
    func remaining(_ network: PeerNetwork, at time: Duration) -> Duration? {
        if line.count == 0 { return nil }
        guard let place = places[network], bans[place].until > time else { return nil }
        return bans[place].until - time
    }

    /// They last so long from now at the most, so that the newest still ends last.
    mutating func shorten(to duration: Duration, at time: Duration) {
        for place in places.values { bans[place].until = min(bans[place].until, time + duration) }
    }

    /// None that is there lasts longer than a new one, so the newest ends last. One that misbehaves again starts again.
    mutating func began(_ ban: Ban) -> [BanEvent] {
        if let place = places[ban.network] {
            bans[place].until = ban.until
            (bans[place].reason, bans[place].listener) = (ban.reason, ban.listener)
            order.moveToEnd(place, of: &line)
            return []
        }
        var events: [BanEvent] = []
        if line.count >= Self.capacity, let first = line.front { events.append(.lifted(remove(first), .displaced)) }
        let place: Int
        if let reused = free.popLast() {
            bans[reused] = ban
            place = reused
        } else {
            place = bans.count
            bans.append(ban)
        }
        places[ban.network] = place
        order.append(place, to: &line)
        return events + [.began(ban)]
    }

    mutating func expire(at time: Duration) -> [BanEvent] {
        var events: [BanEvent] = []
        while let first = line.front, bans[first].until <= time { events.append(.lifted(remove(first), .expired)) }
        return events
    }

    /// Those inside of a network, and those that it is inside of; nil: all.
    mutating func lift(_ network: PeerNetwork?) -> [BanEvent] {
        let meant = places.filter { banned, _ in
            network.map { $0.contains(banned) || banned.contains($0) } ?? true
        }
        return meant.values.map { .lifted(remove($0), .command) }
    }

    private mutating func remove(_ place: Int) -> Ban {
        order.remove(place, from: &line)
        places[bans[place].network] = nil
        free.append(place)
        return bans[place]
    }
}
