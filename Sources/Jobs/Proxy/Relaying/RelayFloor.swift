import IO
import OpenSSL
import Reports

/// The connections of one data lane. Owned by `Relay`.
final class RelayFloor {
    let ground: LaneGround
    let house: ProxyHouse
    let figures: RelayFigures
    private let stalledMemory: Int
    private var occupants: [UInt64: any Occupant] = [:]
    /// Connections that had used up their turn and wait for the next.
    private var waiting: [RelayedConnection] = []
    private var review: StandingReview?
    private var reviewWaiters: [CheckedContinuation<Void, Never>] = []
    private weak var resident: Relay?

    /// Bytes that one connection may move before others have their turn.
    static let turn = 1 << 20

    init(_ ground: LaneGround, _ house: ProxyHouse, _ figures: RelayFigures, stalledMemory: Int) {
        self.ground = ground
        self.house = house
        self.figures = figures
        self.stalledMemory = stalledMemory
    }

    func begin(on resident: Relay) { self.resident = resident }

    /// Slow readers pin as much as they may: read in small pieces until it is less.
    var isUnderPressure: Bool { figures.pinnedBytes > stalledMemory }

    func adopt(_ connection: AuthorizedConnection) {
        let connecting = BackendConnecting(connection, self)
        occupants[connection.id] = connecting
        connecting.start()
    }

    /// The connection of this number goes on here once the host is looked up, if it is still there.
    func ask(_ lookup: RemoteLookup, for id: UInt64) {
        lookup.ask { [weak resident] in
            resident?.submit { ($0.floor.occupants[id] as? BackendConnecting)?.lookedUp() }
        }
    }

    /// `occupant` takes the place of the one before it under this number.
    func settle(_ id: UInt64, _ occupant: some Occupant) { occupants[id] = occupant }

    func departed(_ id: UInt64) {
        guard occupants.removeValue(forKey: id) != nil else { return }
        figures.closed()
        house.admission.departed(id)
    }

    /// The connection goes on when the others of this lane had their turn.
    func wait(_ connection: RelayedConnection) {
        waiting.append(connection)
        if waiting.count == 1 { resident?.submit { $0.floor.resumeWaiting() } }
    }

    private func resumeWaiting() {
        let ready = waiting
        waiting = []
        for connection in ready { connection.resume() }
    }

    /// In the order of their numbers. Only those of the page are described: this is the lane that moves their bytes.
    func connections(after number: UInt64, limit: Int) -> [ConnectionSummary] {
        let numbers = relayed.map(\.origin.id).filter { $0 > number }.sorted().prefix(limit)
        return numbers.compactMap { (occupants[$0] as? RelayedConnection)?.summary }
    }

    func kill(_ id: UInt64) -> Bool {
        guard let connection = occupants[id] as? RelayedConnection else { return false }
        connection.end(.killed)
        return true
    }

    // MARK: standing

    /// Judges the listener's connections again, a few at a time; one that comes meanwhile is judged when it comes.
    func review(_ listener: ListenerState) {
        let concerned = relayed.filter { $0.origin.listener === listener }.map(\.origin.id)
        let isRunning = review != nil
        review = StandingReview(of: concerned, after: review)
        if !isRunning { goOnReviewing() }
    }

    private func goOnReviewing() {
        guard var running = review else { return }
        let now = Timestamp.now.seconds
        while !running.isTurnOver, let id = running.next() {
            guard let connection = occupants[id] as? RelayedConnection else { continue }
            if let reason = running.objection(to: connection, at: now) { connection.end(reason) }
        }
        review = running.isOver ? nil : running.atNextTurn
        if review == nil { reviewEnded() } else { resident?.submit { $0.floor.goOnReviewing() } }
    }

    func whenReviewed(_ waiter: CheckedContinuation<Void, Never>) {
        reviewWaiters.append(waiter)
        if review == nil { reviewEnded() }
    }

    private func reviewEnded() {
        for waiter in reviewWaiters { waiter.resume() }
        reviewWaiters = []
    }

    func began(_ connection: RelayedConnection) {
        figures.expires(at: min(figures.earliestExpiry, connection.expiry))
    }

    func endExpired(at now: Int64) {
        for connection in relayed where connection.expiry <= now { connection.end(.certificateExpired) }
        figures.expires(at: relayed.map(\.expiry).min() ?? .max)
    }

    private var relayed: [RelayedConnection] { occupants.values.compactMap { $0 as? RelayedConnection } }

    /// Ends those whose turn it is, of as many turns as are left.
    func abandonShare(of turns: Int) {
        let all = relayed
        let atRest = all.lazy.filter(\.isAtRest)
        for connection in Array(atRest.prefix((all.count + turns - 1) / max(1, turns))) { connection.end(.drained) }
    }

    func abandonAll() {
        for occupant in Array(occupants.values) { occupant.abandon(.drained) }
        // Nobody is left to be judged.
        review = nil
        reviewEnded()
    }
}
