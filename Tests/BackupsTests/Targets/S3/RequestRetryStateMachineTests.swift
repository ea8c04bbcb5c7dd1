import Testing

@testable import Backups

@Suite struct `A request that was not answered well` {
    typealias Machine = RequestRetryStateMachine

    @Test(arguments: [
        (Machine.Outcome.unanswered, Machine.Class.retry), (.falseSuccess, .retry),
        (.refused(status: 400, code: "RequestTimeout"), .retry), (.refused(status: 400, code: "BadDigest"), .retry),
        (.refused(status: 400, code: "IncompleteBody"), .retry),
        (.refused(status: 400, code: "XAmzContentSHA256Mismatch"), .retry),
        (.refused(status: 408, code: ""), .retry), (.refused(status: 429, code: ""), .slow),
        (.refused(status: 500, code: "InternalError"), .retry), (.refused(status: 502, code: ""), .retry),
        (.refused(status: 503, code: ""), .slow), (.refused(status: 503, code: "SlowDown"), .slow),
        (.refused(status: 504, code: ""), .retry), (.refused(status: 409, code: "OperationAborted"), .retry),
        (.refused(status: 409, code: "ConditionalRequestConflict"), .retry),
        (.refused(status: 403, code: "RequestTimeTooSkewed"), .skew),
        (.refused(status: 403, code: "ExpiredToken"), .refresh),
        (.refused(status: 400, code: "ExpiredToken"), .refresh),
        (.refused(status: 404, code: "NoSuchUpload"), .restart), (.refused(status: 404, code: "NoSuchKey"), .fatal),
        (.refused(status: 404, code: "NoSuchBucket"), .fatal), (.refused(status: 403, code: "AccessDenied"), .fatal),
        (.refused(status: 403, code: "SignatureDoesNotMatch"), .fatal), (.refused(status: 412, code: ""), .fatal),
        (.refused(status: 400, code: "InvalidPart"), .fatal), (.refused(status: 409, code: ""), .fatal),
        (.refused(status: 301, code: "PermanentRedirect"), .fatal), (.refused(status: 501, code: ""), .fatal),
        (.refused(status: 0, code: ""), .fatal),
    ])
    func `is of one class`(_ outcome: Machine.Outcome, _ expected: Machine.Class) {
        #expect(Machine.classify(outcome) == expected)
        var machine = Machine(deadline: .max)
        let action = machine.answered(outcome, at: 0, retryAfter: nil, random: 0)
        switch expected {
        case .retry, .slow: #expect(action == .askAgain(after: 20))
        case .refresh: #expect(action == .refresh(thenAfter: 20))
        case .skew: #expect(action == .adoptTime(thenAfter: 20))
        case .restart: #expect(action == .restart)
        case .fatal: #expect(action == .fail)
        }
        #expect(machine.hasSlowedDown == (expected == .slow))
    }

    @Test func `is not asked again once it is good`() {
        var machine = Machine(deadline: .max)
        #expect(machine.answered(.good, at: 0, retryAfter: nil, random: 1) == .finish)
    }

    @Test func `is asked ten times, with bounds that double up to half a minute`() {
        var machine = Machine(deadline: .max)
        var bounds: [Int64] = []
        for attempt in 1..<Machine.attemptLimit {
            // The largest remainder, whatever the bound.
            let bound = min(Machine.longestDelay, Machine.shortestDelay << Int64(attempt - 1))
            let action = machine.answered(.unanswered, at: 0, retryAfter: nil, random: UInt64(bound))
            #expect(action == .askAgain(after: bound))
            bounds.append(bound)
        }
        #expect(bounds == [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000])
        #expect(machine.answered(.unanswered, at: 0, retryAfter: nil, random: 0) == .fail)
    }

    @Test(arguments: [UInt64.min, 1, 199, 200, 201, 12_345, .max])
    func `waits within its bounds whatever the random number is`(_ random: UInt64) {
        var machine = Machine(deadline: .max)
        for attempt in 1..<Machine.attemptLimit {
            let bound = min(Machine.longestDelay, Machine.shortestDelay << Int64(attempt - 1))
            guard case .askAgain(let after) = machine.answered(.unanswered, at: 0, retryAfter: nil, random: random)
            else {
                Issue.record("attempt \(attempt)")
                return
            }
            #expect((20...bound).contains(after))
        }
    }

    @Test func `waits as long as the server asks, within reason`() {
        var machine = Machine(deadline: .max)
        let slow = Machine.Outcome.refused(status: 503, code: "SlowDown")
        #expect(machine.answered(slow, at: 0, retryAfter: 7000, random: 0) == .askAgain(after: 7000))
        #expect(machine.answered(slow, at: 0, retryAfter: 86_400_000, random: 0) == .askAgain(after: 30_000))
    }

    @Test func `is given up at its deadline`() {
        var machine = Machine(deadline: 1000)
        #expect(machine.answered(.unanswered, at: 980, retryAfter: nil, random: 0) == .askAgain(after: 20))
        #expect(machine.answered(.unanswered, at: 981, retryAfter: nil, random: 0) == .fail)
    }

    @Test(arguments: ["ExpiredToken", "RequestTimeTooSkewed"])
    func `is given up where the same correction does not help`(_ code: String) {
        var machine = Machine(deadline: .max)
        let outcome = Machine.Outcome.refused(status: 403, code: code)
        for _ in 1...2 { #expect(machine.answered(outcome, at: 0, retryAfter: nil, random: 0) != .fail) }
        #expect(machine.answered(outcome, at: 0, retryAfter: nil, random: 0) == .fail)
    }
}

@Suite struct `Parts at once` {
    @Test func `become fewer when the store says so, and more again one by one`() {
        var window = UploadWindowStateMachine(most: 4)
        window.slowedDown()
        #expect(window.size == 2)
        window.slowedDown()
        window.slowedDown()
        #expect(window.size == 1, "never none")
        var sizes: [Int] = []
        for _ in 1...12 {
            window.partStored()
            sizes.append(window.size)
        }
        #expect(sizes == [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4])
    }

    @Test func `are sent no faster than the limit, from the first change of it on`() {
        var limit = BandwidthStateMachine(rate: nil)
        #expect(limit.wanted(1 << 30, at: 0) == 0)
        limit.limitChanged(to: 1000)
        #expect(limit.wanted(500, at: 10) == 0)
        #expect(limit.wanted(1, at: 10) == 500)
        #expect(limit.wanted(1, at: 10) == 501)
        #expect(limit.wanted(2000, at: 10_000) == 0, "what was not used is not saved up")
        #expect(limit.wanted(1, at: 10_000) == 2000)
        limit.limitChanged(to: nil)
        #expect(limit.wanted(1 << 30, at: 10_001) == 0)
    }
}
