/// When to take the next client out of a port's backlog, and when to rest.
///
/// Owned by one acceptor. When no descriptor is left, the kernel keeps the connection in the backlog, and accepting
/// again at once would spin (sniproxy#89, libuv#690): one client is let in through a spare descriptor and closed, then
/// the port rests, longer each time.
struct AcceptStateMachine {
    enum Action: Equatable {
        /// Then call `accepted`, `failed`, `ranDry` or `ranOut`.
        case accept
        /// Give the spare descriptor up for one client, close it, then call `shed`.
        case shed
        /// Then call `rested`.
        case rest(Duration)
        /// Until `becameReady`.
        case wait
    }

    private enum State { case waiting, accepting, shedding, resting }

    /// Clients that are taken at a time, before others on the lane have their turn.
    static let turn = 16
    static let shortestRest = Duration.milliseconds(10)
    static let longestRest = Duration.seconds(1)

    private var state = State.waiting
    private var taken = 0
    private var nextRest = shortestRest

    mutating func becameReady() -> Action {
        guard state == .waiting else { return .wait }
        return begin()
    }

    mutating func accepted() -> Action {
        nextRest = Self.shortestRest
        return took()
    }

    /// One that was gone before it was accepted, or the like.
    mutating func failed() -> Action { took() }

    /// The backlog is empty.
    mutating func ranDry() -> Action {
        state = .waiting
        return .wait
    }

    /// There is no descriptor, or no memory, left.
    mutating func ranOut() -> Action {
        state = .shedding
        return .shed
    }

    mutating func shed() -> Action {
        precondition(state == .shedding)
        state = .resting
        defer { nextRest = min(nextRest * 2, Self.longestRest) }
        return .rest(nextRest)
    }

    mutating func rested() -> Action {
        precondition(state == .resting)
        return begin()
    }

    private mutating func begin() -> Action {
        state = .accepting
        taken = 0
        return .accept
    }

    private mutating func took() -> Action {
        precondition(state == .accepting)
        taken += 1
        if taken < Self.turn { return .accept }
        // The backlog may hold more, and will not be announced again (edge-triggered).
        state = .resting
        return .rest(.zero)
    }
}
