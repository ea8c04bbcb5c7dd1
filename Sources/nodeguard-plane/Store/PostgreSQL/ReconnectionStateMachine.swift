/// When a store that could not be reached is tried again: by one at a time, after a pause that doubles. All others are
/// told at once that it is away, so that nobody waits for what does not answer. Times are in milliseconds.
struct ReconnectionStateMachine {
    enum Action: Equatable, Sendable { case connect, refuse }

    static let firstPause: Int64 = 100
    static let longestPause: Int64 = 2000

    private var failures = 0
    private var retryAt: Int64 = 0
    private var isTrying = false

    /// Somebody needs a connection.
    mutating func wanted(at now: Int64) -> Action {
        if failures == 0 { return .connect }
        if isTrying || now < retryAt { return .refuse }
        isTrying = true
        return .connect
    }

    mutating func connected() {
        failures = 0
        isTrying = false
    }

    /// Attempts that began together and fail together are one failure.
    mutating func failed(at now: Int64) {
        if failures > 0, !isTrying { return }
        failures += 1
        isTrying = false
        retryAt = now + min(Self.firstPause << min(Int64(failures - 1), 8), Self.longestPause)
    }
}
