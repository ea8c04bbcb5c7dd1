import Synchronization

/// A token bucket for each name: `burst` at once, then `rate` a second. Bounded: when there are too many names, the
/// full buckets, which say nothing, are forgotten.
final class RateLimit: Sendable {
    private struct Bucket {
        var level: Double
        var at: ContinuousClock.Instant
    }

    static let nameLimit = 1 << 16

    let burst: Double
    let rate: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    init(burst: Double, rate: Double) {
        self.burst = burst
        self.rate = rate
    }

    func admit(_ name: String, at now: ContinuousClock.Instant = .now) -> Bool {
        buckets.withLock { buckets in
            if buckets.count >= Self.nameLimit {
                buckets = buckets.filter { level(of: $0.value, at: now) < burst }
                if buckets.count >= Self.nameLimit { return false }
            }
            let left = buckets[name].map { level(of: $0, at: now) } ?? burst
            guard left >= 1 else { return false }
            buckets[name] = Bucket(level: left - 1, at: now)
            return true
        }
    }

    private func level(of bucket: Bucket, at now: ContinuousClock.Instant) -> Double {
        min(burst, bucket.level + (now - bucket.at) / .seconds(1) * rate)
    }
}
