/// Whether one database address is worth a connection: what probes and clients' connections have found there.
///
/// Owned by `BackendHealth`, under its lock. So many failures in a row and nobody is sent there any more; a probe that
/// succeeds ends that, and nothing else does (the breaker's half-open state is the probe). So one that is down is
/// probed often, however seldom others are.
struct BackendHealthStateMachine: Hashable {
    enum State: String, Hashable { case unknown, up, down }

    /// One failure may be a restart, or a full backlog.
    static let failureLimit = 3
    /// Between two probes of one that is down, at the longest.
    static let longestDown = Duration.seconds(5)

    private(set) var state = State.unknown
    /// Of the state; in the owner's time.
    private(set) var since: Duration
    /// The last failure's, while it is down.
    private(set) var reason: String?
    private var failures = 0
    private var nextProbe: Duration
    private var isProbing = false

    init(at time: Duration) {
        since = time
        nextProbe = time
    }

    /// True when a probe is to begin now; `answered` or `failed` ends it.
    mutating func probeIsDue(every interval: Duration, at time: Duration) -> Bool {
        guard !isProbing, time >= nextProbe else { return false }
        isProbing = true
        nextProbe = time + (state == .down ? min(interval, Self.longestDown) : interval)
        return true
    }

    mutating func probeAnswered(at time: Duration) {
        isProbing = false
        failures = 0
        reason = nil
        enter(.up, at: time)
    }

    mutating func probeFailed(_ reason: String, at time: Duration) {
        isProbing = false
        failed(reason, at: time)
    }

    /// By a client's connection. One that was begun before it was found down proves nothing about now.
    mutating func connected(at time: Duration) {
        if state == .down { return }
        failures = 0
        enter(.up, at: time)
    }

    mutating func failed(_ reason: String, at time: Duration) {
        failures = min(failures + 1, Self.failureLimit)
        guard failures == Self.failureLimit else { return }
        self.reason = reason
        enter(.down, at: time)
    }

    private mutating func enter(_ new: State, at time: Duration) {
        if new == state { return }
        (state, since) = (new, time)
        if new == .down { nextProbe = min(nextProbe, time + Self.longestDown) }
    }
}
