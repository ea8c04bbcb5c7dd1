/// When the node tells the plane what it really does: at its start, on each change, and at least once in each
/// `interval`.
///
/// Times are seconds of a clock that only goes forward; `random`, in [0, 1), spreads a fleet.
struct ObservationStateMachine {
    /// Where nothing happens.
    static let interval = 60.0
    /// Between two reports, however much happens.
    static let shortest = 1.0
    private static let firstRetry = 2.0
    private static let longestRetryAfter = 3600.0
    private static let spread = 0.2

    private var due = 0.0
    private var last = -Double.infinity
    /// Not before this time, because the plane did not take the last one.
    private var retry = -Double.infinity

    /// In a row.
    private(set) var failures = 0

    /// Seconds until the next report.
    func pause(at now: Double) -> Double { max(0, max(due, last + Self.shortest, retry) - now) }

    /// Something is another way than it was reported, or the plane has answered a question.
    mutating func changed(at now: Double) { due = min(due, now) }

    /// The plane is called as another from now on, which it may take better.
    mutating func credentialsChanged(at now: Double) {
        retry = -Double.infinity
        due = min(due, now)
    }

    /// A report is on its way: what changes from now on is not in it.
    mutating func began(at now: Double) {
        last = now
        due = .infinity
    }

    mutating func taken(at now: Double, random: Double) {
        failures = 0
        retry = -Double.infinity
        due = min(due, now + Self.scattered(Self.interval, random))
    }

    mutating func failed(at now: Double, retryAfter: Double?, random: Double) {
        failures += 1
        let pause = min(Self.interval, Self.firstRetry * Double(1 << min(failures - 1, 10)))
        retry = now + max(min(retryAfter ?? 0, Self.longestRetryAfter), Self.scattered(pause, random))
        due = min(due, retry)
    }

    private static func scattered(_ seconds: Double, _ random: Double) -> Double {
        seconds * (1 + spread * (2 * random - 1))
    }
}
