/// What is done when the plane is no longer certified by whom this node trusts. The old trust stays: certificates in
/// service need it, and the plane may be somebody else. After a while the pinned root is looked for again, as at the
/// join; the pins never change by themselves. Times are seconds since 1970 by the wall clock.
package struct TrustStateMachine: Sendable {
    package enum Action: Sendable, Equatable {
        /// Nothing: it is trusted.
        case keep
        /// Keep the old trust, and look again then.
        case wait(until: Double)
        /// Take the roots whose keys are pinned, if the plane has such.
        case rebootstrap
    }

    /// From the first refusal on (SPIRE's `rebootstrap_delay`).
    package static let delay = 600.0

    private let delay: Double
    private var untrustedSince: Double?

    package init(delay: Double = Self.delay) { self.delay = delay }

    package mutating func planeTrusted() { untrustedSince = nil }

    package mutating func planeUntrusted(at now: Double) -> Action {
        // A clock that was set back behind the beginning begins anew.
        let since = untrustedSince.map { $0 <= now ? $0 : now } ?? now
        untrustedSince = since
        return now - since >= delay ? .rebootstrap : .wait(until: since + delay)
    }

    /// When to ask the plane for its authorities, if not at the usual time.
    package func nextLook(at now: Double) -> Double? {
        guard let since = untrustedSince else { return nil }
        return since <= now && now < since + delay ? since + delay : now + delay
    }
}
