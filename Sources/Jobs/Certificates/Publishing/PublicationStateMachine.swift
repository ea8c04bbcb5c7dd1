/// Whether one role's files of others are what they should be, and what is to be done about it. Performs nothing;
/// times are seconds of a clock that is never set, random numbers lie in [0, 1) and are given.
package struct PublicationStateMachine: Sendable {
    package enum Phase: String, Sendable, CaseIterable {
        /// There is no certificate yet.
        case waiting
        /// There is another one, which has to wait for its window.
        case postponed
        case publishing
        /// Its reader was told, and is not, or not yet, asked what it serves.
        case written
        case served, failed, withheld
    }

    package enum Action: Sendable, Equatable {
        case wait(until: Double)
        /// Have the certificate of now published.
        case publish
        /// Whoever was asked to publish has not answered.
        case missAnswer
        /// Ask the reader what it serves.
        case check
    }

    package enum Answer: Sendable, Equatable {
        case published, failed, withheld
    }

    package enum Finding: Sendable, Equatable {
        case served
        case other
        /// It does not answer: what it serves is not known.
        case silent
    }

    /// In seconds.
    package struct Times: Sendable {
        /// No look is further away: somebody may have published or undone by hand.
        package var interval = 30.0
        /// How long a reader may take until it serves what it was told of.
        package var grace = 30.0
        /// After a failure; each one more doubles it.
        package var firstPause = 10.0
        package var longestPause = 900.0

        package init() {}
    }

    private let times: Times
    private let hasCheck: Bool
    /// How long whoever publishes may take.
    private let patience: Double
    private var wanted: String?
    private var published: String?
    private var withheld: String?
    private var askedTime: Double?
    private var retryTime = 0.0
    private var postponedTime: Double?
    private var failureCount = 0
    private var checkTime = 0.0
    private var graceEnd = 0.0
    private var isServed = false

    package init(hasCheck: Bool, patience: Double, times: Times = Times()) {
        (self.hasCheck, self.patience, self.times) = (hasCheck, patience, times)
    }

    package var phase: Phase {
        guard let wanted else { return .waiting }
        if withheld == wanted { return .withheld }
        if published == wanted { return isServed ? .served : .written }
        if postponedTime != nil { return .postponed }
        return failureCount > 0 && askedTime == nil ? .failed : .publishing
    }

    package func nextAction(at now: Double) -> Action {
        let later = now + times.interval
        guard let wanted, withheld != wanted else { return .wait(until: later) }
        if published == wanted {
            if !hasCheck { return .wait(until: later) }
            return now >= checkTime ? .check : .wait(until: min(checkTime, later))
        }
        if let askedTime {
            return now >= askedTime + patience ? .missAnswer : .wait(until: min(askedTime + patience, now + 1))
        }
        let next = max(retryTime, postponedTime ?? retryTime)
        return now >= next ? .publish : .wait(until: min(next, later))
    }

    // MARK: what happened

    /// There is a certificate, or there are authorities, with this digest.
    package mutating func taken(_ digest: String) {
        if wanted == digest { return }
        wanted = digest
        (askedTime, retryTime, postponedTime, failureCount, isServed) = (nil, 0, nil, 0, false)
    }

    /// Its window opens in `seconds`. Looked at again before, by a clock that can be set.
    package mutating func postponed(by seconds: Double, at now: Double) {
        postponedTime = now + min(seconds, times.interval)
    }

    package mutating func asked(at now: Double) { (askedTime, postponedTime) = (now, nil) }

    /// What was published, or was not, is `digest`; nil: nothing could be.
    package mutating func answered(_ answer: Answer, _ digest: String?, random: Double, at now: Double) {
        switch answer {
        case .published:
            published = digest
            withheld = nil
            if digest == wanted { postponedTime = nil }
            guard digest == wanted else {
                // Another came while it was published: once more, and not at once, lest two that differ for good spin.
                if askedTime != nil { failed(random: random, at: now) }
                return
            }
            askedTime = nil
            isServed = false
            (checkTime, graceEnd) = (now, now + times.grace)
            if !hasCheck { failureCount = 0 }
        case .withheld:
            (withheld, published, isServed) = (digest, nil, false)
            if digest == wanted { (askedTime, failureCount) = (nil, 0) }
        case .failed:
            // An older certificate's failure is none of this one.
            guard digest == wanted || digest == nil else { return }
            failed(random: random, at: now)
        }
    }

    package mutating func answerMissed(random: Double, at now: Double) { failed(random: random, at: now) }

    /// True if what was found is to be told: another certificate, or none, after the time that the reader had.
    package mutating func checked(_ finding: Finding, random: Double, at now: Double) -> Bool {
        guard published == wanted else { return false }
        switch finding {
        case .served:
            (isServed, failureCount) = (true, 0)
            checkTime = now + times.interval
            return false
        case .silent:
            isServed = false
            checkTime = now + (now < graceEnd ? 1 : times.interval)
            return now >= graceEnd
        case .other:
            if now < graceEnd, !isServed {
                checkTime = now + 1
                return false
            }
            failed(random: random, at: now)
            return true
        }
    }

    /// All of it once more, after a pause of half to all of its length.
    private mutating func failed(random: Double, at now: Double) {
        failureCount = min(failureCount + 1, 20)
        (published, askedTime, isServed) = (nil, nil, false)
        let pause = min(times.firstPause * Double(1 << (failureCount - 1)), times.longestPause)
        retryTime = now + pause * (0.5 + random / 2)
    }
}
