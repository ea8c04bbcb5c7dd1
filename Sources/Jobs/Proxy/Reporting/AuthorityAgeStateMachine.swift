/// When an authority is to be spoken of: 30 days before its end, or in the last third of a shorter life, and after it.
struct AuthorityAgeStateMachine: Equatable {
    enum Stage: Comparable {
        case fresh, late, ended
    }

    static let notice: Int64 = 30 * 86_400

    /// Seconds since 1970.
    static func stage(at now: Int64, from begin: Int64, to end: Int64) -> Stage {
        // RFC 5280 §4.1.2.5: the end belongs to the validity.
        if now > end { return .ended }
        return Double(end) - Double(now) <= min(Double(notice), (Double(end) - Double(begin)) / 3) ? .late : .fresh
    }
}
