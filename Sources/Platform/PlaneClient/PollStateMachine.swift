/// How long to wait before the plane is asked again for what may wait there for news, in seconds.
///
/// `random`, in [0, 1), spreads a fleet.
package struct PollStateMachine {
    /// Where the plane answers at once, whether there is news or not.
    package static let interval = 60.0
    private static let spread = 0.2
    /// From the beginning of one question to the next, where the plane waits for news: also the most that a plane is
    /// asked which only says that it waits.
    package static let shortest = 1.0
    private static let firstRetry = 2.0
    private static let longestRetryAfter = 3600.0

    /// In a row.
    package private(set) var failures = 0

    package init() {}

    /// `took`: from the question to its answer.
    package mutating func answered(isAwaited: Bool, took: Double, random: Double) -> Double {
        failures = 0
        return isAwaited ? max(0, Self.shortest - max(0, took)) : Self.scattered(Self.interval, random)
    }

    /// No answer, or one that could not be taken.
    package mutating func failed(retryAfter: Double?, random: Double) -> Double {
        failures += 1
        let pause = min(Self.interval, Self.firstRetry * Double(1 << min(failures - 1, 10)))
        return max(min(retryAfter ?? 0, Self.longestRetryAfter), Self.scattered(pause, random))
    }

    private static func scattered(_ seconds: Double, _ random: Double) -> Double {
        seconds * (1 + spread * (2 * random - 1))
    }
}
