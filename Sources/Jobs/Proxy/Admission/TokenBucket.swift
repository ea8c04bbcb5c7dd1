import IO

/// A rate with a burst of one second's worth; a reservation may run into debt and is then told how long to wait.
struct TokenBucket {
    private var rate: Double
    private var tokens: Double
    private var filledAt = Duration.zero

    init(rate: Int) {
        self.rate = Double(max(1, rate))
        tokens = self.rate
    }

    /// Who waits, waits as long as before: what is there, or owed, changes with the rate.
    mutating func change(rate new: Int) {
        let new = Double(max(1, new))
        tokens = tokens * new / rate
        rate = new
    }

    /// How long to wait before the reserved token may be used; nil, and nothing reserved, if longer than `limit`.
    mutating func reserve(at time: Duration, within limit: Duration) -> Duration? {
        if time > filledAt {
            tokens = min(rate, tokens + (time - filledAt).seconds * rate)
            filledAt = time
        }
        let delay = tokens >= 1 ? Duration.zero : .seconds((1 - tokens) / rate)
        guard delay <= limit else { return nil }
        tokens -= 1
        return delay
    }
}
