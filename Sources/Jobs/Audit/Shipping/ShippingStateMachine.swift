/// What the spool holds, as the shipper has to know it.
struct SpoolView: Sendable, Equatable {
    var epoch: UInt64
    /// The plane has everything up to here.
    var acknowledged: UInt64
    /// The last number that was given out.
    var committed: UInt64
    /// Bytes of events that wait.
    var waitingBytes: Int64
    /// The end of a batch that was signed and perhaps arrived; 0 if there is none.
    var offered: UInt64
    /// The plane knows the log's key.
    var isRegistered: Bool
}

/// What became of a call to the plane.
package enum ShippingAnswer: Sendable, Equatable {
    case keyRegistered
    /// The plane knows no key of this log: it lost what we told it.
    case keyUnknown
    case acknowledged(UInt64)
    /// 409: the plane expects this number.
    case conflict(next: UInt64)
    /// 413
    case tooLarge
    /// 422: what we sent contradicts what the plane has.
    case invalid(reason: String)
    /// 429 and 503.
    case busy(retryAfter: Duration?)
    /// No answer, or one that says nothing of the batch.
    case unavailable(reason: String)
}

/// Decides when which events go to the plane. One call is under way at a time; nothing is ever given up, and whatever
/// cannot be sent stays in the spool.
struct ShippingStateMachine: Sendable {
    enum Action: Equatable, Sendable {
        /// Look again when something was committed, or when this moment has come.
        case wait(until: Duration?)
        case registerKey
        /// At most `count` events from `first` on.
        case send(first: UInt64, count: UInt64)
        /// This log cannot be continued at the plane: go on with a new one.
        case beginEpoch(reason: String)
        /// Send nothing more of this log, and call for a human.
        case stop(reason: String)
    }

    static let batchEvents: UInt64 = 1000
    static let batchBytes: Int64 = 1_000_000
    static let batchAge = Duration.milliseconds(500)
    static let firstRetry = Duration.milliseconds(500)
    static let longestRetry = Duration.seconds(60)
    /// A `Retry-After` beyond this is not believed.
    static let longestRetryAfter = Duration.seconds(600)

    private enum Phase: Equatable, Sendable {
        /// Can go to: `registering`, `sending`.
        case idle
        /// Can go to: `idle`, `backingOff`, `replacing`, `stopped`.
        case registering
        /// `last` is nil until the batch is made. Can go to: `idle`, `backingOff`, `replacing`, `stopped`.
        case sending(last: UInt64?)
        /// Can go to: `registering`, `sending`.
        case backingOff(until: Duration)
        /// Waits for the new epoch. Can go to: `idle`.
        case replacing(reason: String)
        /// Can go to: `idle`, with a new epoch only.
        case stopped(reason: String)
    }

    private var phase = Phase.idle
    private var view: SpoolView?
    /// The plane said that it expects this; larger than `acknowledged + 1` after a lost answer.
    private var next: UInt64 = 1
    private var countLimit = Self.batchEvents
    private var attempt = 0
    private var conflicts = 0
    private var mustRegister = false
    /// A new log was begun for the plane's sake, and the plane has not acknowledged anything of it.
    private var hasReplaced = false
    private var waitingSince: Duration?

    /// Failed calls since the last one that succeeded.
    private(set) var failures = 0

    /// The spool was looked at: at the start, after a commit, and whenever a wait is over.
    mutating func spoolObserved(_ now: SpoolView, at time: Duration) -> Action {
        if view?.epoch != now.epoch { begin(now) }
        view = now
        next = max(next, now.acknowledged + 1)
        if now.committed < next {
            waitingSince = nil
        } else if waitingSince == nil {
            waitingSince = time
        }
        return nextAction(time)
    }

    /// The batch that was asked for is made, and signed; it ends with `last`.
    mutating func batchMade(last: UInt64) {
        precondition(phase == .sending(last: nil) && last >= next, "no such batch was asked for")
        phase = .sending(last: last)
        if let offered = view?.offered, offered < last { view?.offered = last }
    }

    /// The spool could not make the batch; it is looked at again soon.
    mutating func batchFailed(at time: Duration, jitter: Double) -> Action {
        precondition(phase == .sending(last: nil), "no batch was asked for")
        return backOff(time, jitter, atLeast: .zero)
    }

    /// The call that was asked for came to an end. `jitter`: evenly between 0 and 1.
    mutating func answered(_ answer: ShippingAnswer, at time: Duration, jitter: Double) -> Action {
        precondition(isCalling, "no call is under way")
        switch answer {
        case .keyRegistered where phase == .registering:
            mustRegister = false
            view?.isRegistered = true
            return resume(time)
        case .keyUnknown:
            mustRegister = true
            return backOff(time, jitter, atLeast: .zero)
        case .acknowledged(let last): return acknowledged(last, time, jitter)
        case .conflict(let expected): return conflict(expected, time, jitter)
        case .tooLarge:
            countLimit = max(1, countLimit / 2)
            // A single event is always within the plane's limit: something in between refuses it, perhaps not for ever.
            return countLimit == 1 ? backOff(time, jitter, atLeast: .zero) : resume(time)
        case .invalid(let reason):
            return phase == .registering ? replace("the plane refuses the log's key: \(reason)") : stop(reason)
        case .busy(let retryAfter):
            return backOff(time, jitter, atLeast: min(retryAfter ?? .zero, Self.longestRetryAfter))
        case .unavailable, .keyRegistered: return backOff(time, jitter, atLeast: .zero)
        }
    }

    private mutating func begin(_ now: SpoolView) {
        phase = .idle
        next = now.acknowledged + 1
        countLimit = Self.batchEvents
        attempt = 0
        failures = 0
        conflicts = 0
        mustRegister = false
        waitingSince = nil
    }

    private mutating func nextAction(_ time: Duration) -> Action {
        switch phase {
        case .registering, .sending: return .wait(until: nil)
        case .stopped(let reason): return .stop(reason: reason)
        case .replacing(let reason): return .beginEpoch(reason: reason)
        case .backingOff(let until) where time < until: return .wait(until: until)
        case .backingOff, .idle: break
        }
        guard let view, view.committed >= next, let waitingSince else { return .wait(until: nil) }
        phase = .idle
        if mustRegister || !view.isRegistered {
            phase = .registering
            return .registerKey
        }
        // What was signed once is sent again as it was: the plane then answers as it did, or would have done.
        if view.offered >= next { return send(min(view.offered - next + 1, countLimit)) }
        let isFull = view.committed - next + 1 >= countLimit || view.waitingBytes >= Self.batchBytes
        guard isFull || time >= waitingSince + Self.batchAge else { return .wait(until: waitingSince + Self.batchAge) }
        return send(countLimit)
    }

    private mutating func send(_ count: UInt64) -> Action {
        phase = .sending(last: nil)
        return .send(first: next, count: count)
    }

    private mutating func acknowledged(_ last: UInt64, _ time: Duration, _ jitter: Double) -> Action {
        guard let view, case .sending(let sent?) = phase, last >= next, last <= sent else {
            // An answer that fits no batch of ours proves nothing.
            return backOff(time, jitter, atLeast: .zero)
        }
        next = last + 1
        conflicts = 0
        hasReplaced = false
        self.view?.acknowledged = last
        countLimit = min(Self.batchEvents, countLimit * 2)
        // What came in during the call is younger than the call; it may wait for company again.
        waitingSince = view.committed >= next ? time : nil
        return succeed(time)
    }

    private mutating func conflict(_ expected: UInt64, _ time: Duration, _ jitter: Double) -> Action {
        guard let view, case .sending = phase else { return backOff(time, jitter, atLeast: .zero) }
        if expected > view.offered + 1 {
            return replace("the plane has events up to \(expected - 1); the spool never sent more than \(view.offered)")
        }
        if expected <= view.acknowledged {
            return replace("the plane expects event \(expected); it acknowledged \(view.acknowledged) before")
        }
        conflicts += 1
        let isNews = expected != next
        next = expected
        if view.committed < next { waitingSince = nil }
        // An answer was lost: go on at once. But a plane that keeps on contradicting is not asked faster than one that
        // is away.
        return isNews && conflicts == 1 ? resume(time) : backOff(time, jitter, atLeast: .zero)
    }

    private var isCalling: Bool {
        switch phase {
        case .registering, .sending: true
        case .idle, .backingOff, .replacing, .stopped: false
        }
    }

    private mutating func replace(_ reason: String) -> Action {
        // A plane that refuses every new log, too, must not fill the disk with them.
        if hasReplaced { return stop(reason) }
        hasReplaced = true
        phase = .replacing(reason: reason)
        return .beginEpoch(reason: reason)
    }

    private mutating func stop(_ reason: String) -> Action {
        failures += 1
        phase = .stopped(reason: reason)
        return .stop(reason: reason)
    }

    private mutating func succeed(_ time: Duration) -> Action {
        attempt = 0
        failures = 0
        return resume(time)
    }

    private mutating func resume(_ time: Duration) -> Action {
        phase = .idle
        return nextAction(time)
    }

    /// Full jitter: evenly between nothing and a limit that doubles.
    private mutating func backOff(_ time: Duration, _ jitter: Double, atLeast least: Duration) -> Action {
        precondition((0...1).contains(jitter))
        let limit = min(Self.longestRetry, Self.firstRetry * (1 << min(attempt, 7)))
        attempt += 1
        failures += 1
        let until = time + max(least, .zero) + limit * jitter
        phase = .backingOff(until: until)
        return .wait(until: until)
    }
}
