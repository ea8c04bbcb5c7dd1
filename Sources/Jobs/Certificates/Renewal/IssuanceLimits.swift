/// How many certificates one role may get: more are a loop that costs the authority its limits, and the node's log its
/// sense (smallstep/cli#523, certbot/certbot#3553). Certificates of a short life may come twice as often as such a life
/// needs.
package struct IssuanceLimits: Sendable {
    package static let standard = IssuanceLimits(hourly: 3, daily: 10)
    /// Where a life allows more than this in a window, the window limits nothing: the state machine lets a tenth of
    /// what is left of each certificate pass before the next.
    package static let longest = 64

    private let windows: [(seconds: Double, count: Int)]

    package init(hourly: Int, daily: Int) { windows = [(3600, hourly), (86_400, daily)] }

    /// When the next one may be asked for; nil: now. `issuances`: oldest first. What lies in the future was recorded
    /// under another clock and does not count. `life`: of the certificate in service, in seconds.
    package func end(after issuances: [Double], life: Double?, at now: Double) -> Double? {
        let ends = windows.compactMap { window -> Double? in
            let needed = life.map { $0 > 0 ? min(2 * window.seconds / $0, 1e6) : 0 } ?? 0
            let allowed = max(window.count, Int(needed))
            guard allowed <= Self.longest else { return nil }
            let recent = issuances.filter { $0 <= now && $0 > now - window.seconds }
            return recent.count < allowed ? nil : recent[recent.count - allowed] + window.seconds
        }
        return ends.max()
    }

    /// Those that can still count.
    package func kept(_ issuances: [Double], at now: Double) -> [Double] {
        Array(issuances.filter { $0 <= now && $0 > now - 86_400 }.suffix(Self.longest))
    }
}
