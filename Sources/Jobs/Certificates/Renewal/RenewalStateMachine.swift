/// When one certificate is asked for, and when again. Performs nothing; times are seconds since 1970 by the wall clock,
/// random numbers lie in [0, 1) and are given.
///
/// A role's certificate is asked for under the node identity. The node identity is first asked for with a join
/// bundle, and never before the plane's root has matched the bundle's pin (RFC 7030 §4.1.1); afterwards it renews
/// itself.
package struct RenewalStateMachine: Sendable {
    package enum Subject: Sendable { case node, role }

    package enum Phase: String, Sendable, CaseIterable {
        case unenrolled, bootstrapping, enrolling, active, renewing, expired, rejected
    }

    package enum Action: Sendable, Equatable {
        /// Nothing can be done before `credentialsArrived` (a join bundle, the node identity).
        case waitForCredentials
        case wait(until: Double)
        /// Fetch the plane's authorities and compare their root with the pin.
        case bootstrap
        case enroll
        case renew
    }

    package enum Failure: Sendable, Equatable, CaseIterable {
        case unreachable, throttled, local
        /// The plane is not certified by whom we trust, or its root is not the pinned one.
        case untrusted, pinMismatch
        case identityRefused, denied
        /// 401 for the token; `tokenSpent` when the plane says that it will never take it.
        case tokenRefused, tokenSpent
        case request, configuration
        /// An answer that is not EST, or a certificate that is not what was asked for.
        case unusableAnswer, unusableCertificate

        fileprivate var isRejection: Bool {
            [.identityRefused, .denied, .tokenRefused, .tokenSpent].contains(self)
        }

        /// No pause is longer.
        fileprivate var limit: Double {
            switch self {
            case .unreachable, .throttled, .local: 900
            case .untrusted, .pinMismatch, .identityRefused, .denied, .tokenRefused, .tokenSpent, .unusableAnswer,
                .unusableCertificate:
                3600
            case .request, .configuration: 6 * 3600
            }
        }
    }

    /// A token that was refused this often is not sent again.
    package static let tokenLimit = 5
    /// Bounds of what a server may ask for (libest, est_locl.h).
    private static let retryAfterLimits = 1.0...172_800.0

    private let subject: Subject
    /// The first pause; doubled with each failure.
    private let base: Double
    private var hasCredentials = false
    private var isPinned = false
    private var validity: Validity?
    private var dueTime = 0.0
    private var isDemanded = false
    private var isRejected = false
    private var failureCount = 0
    private var tokenRefusals = 0
    private var retry: (time: Double, pause: Double)?
    private var underWay: Phase?

    package init(_ subject: Subject, base: Double = 5) {
        self.subject = subject
        self.base = base
    }

    // MARK: what is to be done

    package mutating func nextAction(at now: Double) -> Action {
        let action = decide(at: now)
        underWay =
            switch action {
            case .bootstrap: .bootstrapping
            case .enroll: .enrolling
            case .renew: .renewing
            case .wait, .waitForCredentials: nil
            }
        return action
    }

    package func phase(at now: Double) -> Phase {
        if let underWay { return underWay }
        if isRejected { return .rejected }
        guard let validity else { return hasCredentials ? .enrolling : .unenrolled }
        if now >= validity.notAfter { return .expired }
        return isDemanded || now >= dueTime ? .renewing : .active
    }

    /// When the certificate is renewed next if nothing happens; nil without one, or if it is to be at once.
    package var nextRenewal: Double? {
        guard validity != nil else { return nil }
        if isDemanded { return retry?.time }
        return max(dueTime, retry?.time ?? dueTime)
    }

    package enum Cause: String, Sendable, CaseIterable {
        /// Two thirds of its life, less its jitter.
        case age
        /// Asked for, or it is not what the configuration asks for.
        case demand
        /// The last request came to nothing.
        case retry
    }

    /// Why then; nil without a certificate.
    package var renewalCause: Cause? {
        guard validity != nil else { return nil }
        if let retry, retry.time > dueTime || isDemanded { return .retry }
        return isDemanded ? .demand : .age
    }

    private func decide(at now: Double) -> Action {
        if let validity, now < validity.notAfter, !mustRejoin {
            guard isDemanded || now >= dueTime else { return .wait(until: min(dueTime, validity.notAfter)) }
            guard subject == .node || hasCredentials else { return .wait(until: validity.notAfter) }
            if let time = pauseEnd(at: now) { return .wait(until: min(time, validity.notAfter)) }
            return .renew
        }
        guard hasCredentials else { return .waitForCredentials }
        if let time = pauseEnd(at: now) { return .wait(until: time) }
        return subject == .node && !isPinned ? .bootstrap : .enroll
    }

    /// An identity that the plane no longer takes gives way to a new bundle.
    private var mustRejoin: Bool { subject == .node && isRejected && hasCredentials }

    /// nil when it is over, or when the clock was set back behind its beginning.
    private func pauseEnd(at now: Double) -> Double? {
        guard let retry, now < retry.time, now >= retry.time - retry.pause else { return nil }
        return retry.time
    }

    // MARK: what happened

    /// A join bundle (another one than before), or the node identity.
    package mutating func credentialsArrived() {
        hasCredentials = true
        isPinned = false
        tokenRefusals = 0
        retry = nil
        failureCount = 0
        if validity == nil { isRejected = false }
    }

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
            dueTime = max(dueTime, now + max(1, left / 10))
            isDemanded = false
            isRejected = false
            failureCount = 0
            tokenRefusals = 0
            retry = nil
        } else if dueTime < now {
            dueTime = left < new.life / 12 ? now : now + random * min(300, left / 12)
        }
        if subject == .node, isNew { credentialsLost() }
        underWay = nil
    }

    package mutating func renewalDemanded() {
        isDemanded = true
        retry = nil
    }

    /// 202: not a failure; the same request again.
    package mutating func requestDeferred(by seconds: Double, random: Double, at now: Double) {
        underWay = nil
        pause(Self.clamped(seconds) * (1 + random / 4), at: now)
    }

    package mutating func requestFailed(
        _ failure: Failure, retryAfter: Double? = nil, random: Double, at now: Double
    ) {
        underWay = nil
        failureCount = min(failureCount + 1, 20)
        if failure.isRejection { isRejected = true }
        switch failure {
        case .tokenRefused:
            tokenRefusals += 1
            if tokenRefusals >= Self.tokenLimit { credentialsLost() }
        case .tokenSpent: credentialsLost()
        case .untrusted, .pinMismatch: isPinned = false
        default: break
        }
        // Full jitter, applied after all limits: at the limit, too, the fleet stays spread (fleetdm/fleet#53357).
        let ceiling = min(base * Double(1 << (failureCount - 1)), failure.limit, expiryLimit(at: now))
        var seconds = max(ceiling * random, min(base, ceiling) / 10)
        if let retryAfter { seconds = max(seconds, Self.clamped(retryAfter) * (1 + random / 4)) }
        pause(seconds, at: now)
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
