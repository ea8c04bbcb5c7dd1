/// What is done about the answer to one request of an object store: whether it is asked again, when, and what must be
/// put right before. Time is in milliseconds, a random number is given by whoever calls.
struct RequestRetryStateMachine {
    enum Outcome: Equatable {
        /// 2xx, and the body is what it should be.
        case good
        /// Connect, reset, timeout, TLS: nobody knows whether the request has had its effect.
        case unanswered
        /// What came with a 2xx is an error, or damaged on its way.
        case falseSuccess
        /// `code`: of the error document, where there is one.
        case refused(status: Int, code: String)
    }

    enum Class: Equatable { case retry, slow, refresh, skew, restart, fatal }

    enum Action: Equatable {
        case finish
        /// After so many milliseconds.
        case askAgain(after: Int64)
        /// Credentials are read again first.
        case refresh(thenAfter: Int64)
        /// The server's `Date` counts from now on.
        case adoptTime(thenAfter: Int64)
        /// The upload is gone; only the whole object could be stored anew.
        case restart
        case fail
    }

    static let attemptLimit = 10
    static let shortestDelay: Int64 = 200
    static let longestDelay: Int64 = 30_000

    private let deadline: Int64
    private(set) var attempts = 0
    private(set) var hasSlowedDown = false
    /// At most one of each without a success: a clock or credentials that stay wrong are no passing trouble.
    private var refreshes = 0
    private var skews = 0

    init(deadline: Int64) { self.deadline = deadline }

    static func classify(_ outcome: Outcome) -> Class? {
        switch outcome {
        case .good: return nil
        case .unanswered, .falseSuccess: return .retry
        case .refused(let status, let code):
            switch code {
            case "SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "ServiceUnavailable": return .slow
            case "RequestTimeTooSkewed": return .skew
            case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken": return .refresh
            case "NoSuchUpload": return .restart
            case "RequestTimeout", "InternalError", "OperationAborted", "ConditionalRequestConflict": return .retry
            // The bytes were changed on their way to the server.
            case "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody": return .retry
            default: break
            }
            switch status {
            case 429, 503: return .slow
            case 408, 500, 502, 504: return .retry
            default: return .fatal
            }
        }
    }

    /// `retryAfter`: what the server asked for, in milliseconds. `random`: any number.
    mutating func answered(_ outcome: Outcome, at now: Int64, retryAfter: Int64?, random: UInt64) -> Action {
        attempts += 1
        guard let kind = Self.classify(outcome) else { return .finish }
        switch kind {
        case .fatal: return .fail
        case .restart: return .restart
        case .slow: hasSlowedDown = true
        case .refresh:
            refreshes += 1
            if refreshes > 2 { return .fail }
        case .skew:
            skews += 1
            if skews > 2 { return .fail }
        case .retry: break
        }
        let delay = max(jitter(random), min(retryAfter ?? 0, Self.longestDelay))
        guard attempts < Self.attemptLimit, now + delay <= deadline else { return .fail }
        return switch kind {
        case .refresh: .refresh(thenAfter: delay)
        case .skew: .adoptTime(thenAfter: delay)
        default: .askAgain(after: delay)
        }
    }

    /// Full jitter: anything up to a bound that doubles, never less than a tenth of the shortest.
    private func jitter(_ random: UInt64) -> Int64 {
        let bound = min(Self.longestDelay, Self.shortestDelay << Int64(min(attempts - 1, 20)))
        return max(Self.shortestDelay / 10, Int64(random % UInt64(bound + 1)))
    }
}

/// How many parts one object sends at once: one more after a row of successes, half of them when the server says that
/// it is too much (AIMD).
struct UploadWindowStateMachine {
    private let most: Int
    private(set) var size: Int
    private var successes = 0

    init(most: Int) {
        self.most = most
        size = most
    }

    mutating func partStored() {
        successes += 1
        guard successes >= size, size < most else { return }
        size += 1
        successes = 0
    }

    mutating func slowedDown() {
        size = max(1, size / 2)
        successes = 0
    }
}

/// The bytes that may be sent: a second's worth at once, and so many each second. Time is in milliseconds.
struct BandwidthStateMachine {
    private var rate: Int64?
    /// When what was granted so far will have been sent.
    private var sentUntil: Int64 = 0

    /// Bytes a second; nil: no limit.
    init(rate: Int64?) { self.rate = rate }

    mutating func limitChanged(to rate: Int64?) { self.rate = rate }

    /// How long to wait before `count` bytes are sent.
    mutating func wanted(_ count: Int64, at now: Int64) -> Int64 {
        guard let rate, rate > 0 else {
            sentUntil = now
            return 0
        }
        let start = max(now, sentUntil)
        sentUntil = start + (count * 1000 + rate - 1) / rate
        return start - now
    }
}
