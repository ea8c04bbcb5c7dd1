/// When one certificate is asked for, and when again. Performs nothing; times are seconds since 1970 by the wall clock,
/// random numbers lie in [0, 1) and are given.
///
/// A role's certificate is asked for under the node identity. The node identity is first asked for with a join
/// bundle, and never before the plane's root has matched the bundle's pin (RFC 7030 §4.1.1); afterwards it renews
/// itself.
package struct RenewalStateMachine: Sendable {
    package enum Subject: Sendable { case node, role }

    /// A token that was refused this often is not sent again.
    package static let tokenLimit = 5
    /// Bounds of what a server may ask for (libest, est_locl.h).
    private static let retryAfterLimits = 1.0...172_800.0
    /// So many failures in a row may be a plane that restarts; more are an outage, from which a fleet returns together.
    private static let briefFailures = 2
    /// The longest pause in an outage, in seconds.
    private static let outagePause = 7200.0

    private let subject: Subject
    /// The first pause; doubled with each failure.
    private let base: Double
    private let limits: IssuanceLimits
    private var hasCredentials = false
    private var isPinned = false
    /// The plane knows a recovery key of this node.
    private var canRecover = false
    private var isLocked = false
    private var validity: Validity?
    private var dueTime = 0.0
    private var orderedTime: Double?
    private var isDemanded = false
    private var isRejected = false
    private var isDeferred = false
    /// An operator asked: one certificate beyond the limits.
    private var isExempt = false
    private var failureCount = 0
    private var requestFailures = 0
    private var tokenRefusals = 0
    /// When certificates were issued, oldest first.
    package private(set) var issuances: [Double] = []
    /// The last one that came was due again when it came.
    package private(set) var isOldOnArrival = false
    private var retry: (time: Double, pause: Double)?
    private var underWay: Phase?

    package init(_ subject: Subject, base: Double = 5, limits: IssuanceLimits = .standard) {
        self.subject = subject
        self.base = base
        self.limits = limits
    }

    // MARK: what is to be done

    package mutating func nextAction(at now: Double) -> Action {
        let action = decide(at: now)
        underWay =
            switch action {
            case .bootstrap: .bootstrapping
            case .enroll: .enrolling
            case .renew: .renewing
            case .recover: .recovering
            case .wait, .waitForCredentials: nil
            }
        return action
    }

    package func phase(at now: Double) -> Phase {
        if let underWay { return underWay }
        if isLocked, !hasCredentials { return .locked }
        if isRejected { return .rejected }
        if isDeferred, pauseEnd(at: now) != nil { return .pending }
        if limitEnd(at: now) != nil, isWanted(at: now) { return .limited }
        guard let validity else { return hasCredentials ? .enrolling : .unenrolled }
        if now >= validity.notAfter { return .expired }
        return isDemanded || now >= due ? .renewing : .active
    }

    /// Nobody asks before then, because of so many certificates as came lately; nil where that is not so.
    package func limitedUntil(at now: Double) -> Double? { isWanted(at: now) ? limitEnd(at: now) : nil }

    package var hasUsableBundle: Bool { subject == .node && hasCredentials }

    /// Whether the last refusal of the request itself is the first: once, it is made anew.
    package var wantsNewRequest: Bool { requestFailures == 1 }

    /// When the certificate is renewed next if nothing happens; nil without one, or if it is to be at once.
    package func nextRenewal(at now: Double) -> Double? {
        guard validity != nil else { return nil }
        return limitOfNext(at: now) ?? plannedRenewal
    }

    private var due: Double { min(dueTime, orderedTime ?? dueTime) }

    /// nil: at once. As if nothing had been issued lately.
    private var plannedRenewal: Double? {
        if isDemanded { return retry?.time }
        return max(due, retry?.time ?? due)
    }

    /// When the next one may be asked for, if that is later than it is planned.
    private func limitOfNext(at now: Double) -> Double? { limitEnd(at: max(now, plannedRenewal ?? now)) }

    /// Why then; nil without a certificate.
    package func renewalCause(at now: Double) -> Cause? {
        guard validity != nil else { return nil }
        if limitOfNext(at: now) != nil { return .limit }
        if let retry, retry.time > due || isDemanded { return isDeferred ? .pending : .retry }
        if isDemanded { return .demand }
        return due < dueTime ? .order : .age
    }

    private func decide(at now: Double) -> Action {
        if let validity, now < validity.notAfter, !mustRejoin {
            guard isDemanded || now >= due else { return .wait(until: min(due, validity.notAfter)) }
            guard subject == .node || hasCredentials else { return .wait(until: validity.notAfter) }
            if let time = pauseEnd(at: now) ?? limitEnd(at: now) {
                return .wait(until: min(time, validity.notAfter))
            }
            return .renew
        }
        // A bundle is an operator's word, and goes before the node's own.
        guard hasCredentials || mayRecover else { return .waitForCredentials }
        if let time = pauseEnd(at: now) ?? limitEnd(at: now) { return .wait(until: time) }
        if !hasCredentials { return .recover }
        return subject == .node && !isPinned ? .bootstrap : .enroll
    }

    /// Only an identity that has expired: one that the plane refuses while it is good is refused for a reason.
    package var mayRecover: Bool { subject == .node && canRecover && validity != nil }

    /// An identity that the plane no longer takes gives way to a new bundle.
    private var mustRejoin: Bool { subject == .node && isRejected && hasCredentials }

    private func isWanted(at now: Double) -> Bool {
        guard let validity, now < validity.notAfter else { return hasCredentials }
        return isDemanded || mustRejoin || now >= due
    }

    private func limitEnd(at now: Double) -> Double? {
        isExempt ? nil : limits.end(after: issuances, life: validity?.life, at: now)
    }

    /// nil when it is over, or when the clock was set back behind its beginning.
    private func pauseEnd(at now: Double) -> Double? {
        guard let retry, now < retry.time, now >= retry.time - retry.pause else { return nil }
        return retry.time
    }

    // MARK: what happened

    /// A join bundle (another one than before), or the node identity. `refusals`: how often this token was refused
    /// already, before a restart.
    package mutating func credentialsArrived(refusals: Int = 0) {
        hasCredentials = refusals < Self.tokenLimit
        isPinned = false
        tokenRefusals = refusals
        // A role's server still wants to be asked later, whatever became of the node identity.
        if subject == .node || !isDeferred {
            retry = nil
            isDeferred = false
        }
        failureCount = 0
        requestFailures = 0
        if validity == nil { isRejected = false }
    }

    /// Whether there is a recovery key that the plane knows; nothing is asked of a plane that has no such call.
    package mutating func recoveryChanged(isPossible: Bool) { canRecover = isPossible }

    package mutating func credentialsLost() {
        hasCredentials = false
        isPinned = false
    }

    /// The plane's root is the pinned one, and the plane is certified by it.
    package mutating func authoritiesConfirmed() {
        isPinned = true
        underWay = nil
    }

    /// A certificate was found on the disk, or (`isNew`) has just been issued and put there.
    package mutating func certificateTaken(
        _ new: Validity, jitter: Double, random: Double, isNew: Bool, at now: Double
    ) {
        validity = new
        let left = new.notAfter - now
        dueTime = new.renewalTime(jitter: jitter)
        if isNew {
            // Old on arrival must not become a loop (smallstep/cli#523).
            isOldOnArrival = dueTime <= now
            dueTime = max(dueTime, now + max(1, left / 10))
            orderedTime = nil
            isDemanded = false
            isRejected = false
            isLocked = false
            isDeferred = false
            failureCount = 0
            requestFailures = 0
            tokenRefusals = 0
            retry = nil
        } else if dueTime < now {
            dueTime = left < new.life / 12 ? now : now + random * min(300, left / 12)
        }
        if subject == .node, isNew { credentialsLost() }
        underWay = nil
    }

    /// `byOperator`: at once, whatever the limits say.
    package mutating func renewalDemanded(byOperator: Bool = false) {
        isDemanded = true
        if byOperator { isExempt = true }
        // Whoever asked to be asked later is asked before by an operator alone.
        if !isDeferred || byOperator { retry = nil }
    }

    /// The plane wants the certificate of now replaced at this time; nil: no more than that it is in time.
    package mutating func renewalOrdered(at time: Double?) { orderedTime = time }

    /// A server has issued a certificate for our request, good or not.
    package mutating func certificateIssued(at now: Double) {
        isExempt = false
        issuances = limits.kept(issuances + [now], at: now)
    }

    /// What was issued before a restart.
    package mutating func issuancesRestored(_ times: [Double], at now: Double) {
        issuances = limits.kept(times.sorted(), at: now)
    }

    /// 202: not a failure; the same request again. Says when.
    @discardableResult
    package mutating func requestDeferred(by seconds: Double, random: Double, at now: Double) -> Double {
        underWay = nil
        isDeferred = true
        let seconds = Self.clamped(seconds) * (1 + random / 4)
        pause(seconds, at: now)
        return now + seconds
    }

    /// What was deferred is not what is wanted any more: another request, which nobody has deferred, goes at once.
    package mutating func deferralGivenUp() {
        if isDeferred { (isDeferred, retry) = (false, nil) }
    }

    /// A request that was deferred before a restart.
    package mutating func deferralRestored(until time: Double, at now: Double) {
        let seconds = time - now
        guard seconds > 0, seconds <= Self.retryAfterLimits.upperBound * 1.25 else { return }
        isDeferred = true
        pause(seconds, at: now)
    }

    package mutating func requestFailed(
        _ failure: Failure, retryAfter: Double? = nil, random: Double, at now: Double
    ) {
        underWay = nil
        isDeferred = false
        failureCount = min(failureCount + 1, 20)
        if failure.isRejection { isRejected = true }
        isLocked = failure == .locked && (validity.map { now >= $0.notAfter } ?? false)
        switch failure {
        case .request: requestFailures += 1
        case .tokenRefused, .tokenDenied:
            tokenRefusals += 1
            if tokenRefusals >= Self.tokenLimit { credentialsLost() }
        case .tokenSpent: credentialsLost()
        case .untrusted, .pinMismatch: isPinned = false
        case .recoveryUnknown: canRecover = false
        default: break
        }
        // Jitter after all limits: at the limit, too, the fleet stays spread (fleetdm/fleet#53357).
        let usual = min(base * Double(1 << (failureCount - 1)), failure.limit, expiryLimit(at: now))
        let isUntold = failure.isOutage && retryAfter == nil
        let ceiling = isUntold ? max(usual, outageCeiling(at: now)) : usual
        var seconds = isLocked ? failure.limit * (1 + random / 4) : ceiling * (1 + random) / 2
        if let retryAfter { seconds = max(seconds, Self.clamped(retryAfter) * (1 + random / 4)) }
        pause(seconds, at: now)
    }

    /// While much of the certificate's life is left nothing presses, and pauses that only double would bring a fleet
    /// back to its plane within minutes: seven times the usual requests after an hour (elastic/elastic-agent#13874).
    /// Not where somebody waits for it.
    private func outageCeiling(at now: Double) -> Double {
        guard failureCount > Self.briefFailures, !isDemanded, let validity, now < validity.warningTime else { return 0 }
        return min(Self.outagePause, (validity.notAfter - now) / 4)
    }

    /// The nearer the end, the shorter the pauses.
    private func expiryLimit(at now: Double) -> Double {
        guard let validity, now < validity.notAfter else { return .infinity }
        return max((validity.notAfter - now) / 20, min(30, validity.life / 20))
    }

    private static func clamped(_ seconds: Double) -> Double {
        min(max(seconds, retryAfterLimits.lowerBound), retryAfterLimits.upperBound)
    }

    private mutating func pause(_ seconds: Double, at now: Double) { retry = (now + seconds, seconds) }
}
