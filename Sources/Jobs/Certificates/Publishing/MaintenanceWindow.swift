/// When, in each week, others may be told of a new certificate. Times are seconds since 1970.
///
/// In UTC, which has no summer time: no span is left out of a week, and none comes twice.
package struct MaintenanceWindow: Sendable, Equatable {
    package enum Day: Int, Sendable, CaseIterable {
        case monday, tuesday, wednesday, thursday, friday, saturday, sunday
    }

    package struct Span: Sendable, Equatable {
        /// On which it begins.
        package let days: [Day]
        /// Minutes after midnight. An end that is not after its beginning is the next day's.
        package let begin: Int
        package let end: Int

        package init(days: [Day], begin: Int, end: Int) { (self.days, self.begin, self.end) = (days, begin, end) }

        fileprivate var length: Double { Double(end > begin ? end - begin : end + 1440 - begin) * 60 }
    }

    private static let day = 86_400.0
    private static let week = 7 * day
    /// Since Monday: 1970 began on a Thursday.
    private static let beginningOf1970 = 3 * day
    /// Of a certificate's life. So much must be left of what others have now, or it is replaced at once.
    private static let urgentPart = 6.0

    package let spans: [Span]

    package init(_ spans: [Span]) { self.spans = spans }

    /// The next time at which it opens; nil: it is open.
    package func opening(at now: Double) -> Double? {
        let monday = ((now + Self.beginningOf1970) / Self.week).rounded(.down) * Self.week - Self.beginningOf1970
        var next = Double.infinity
        for span in spans {
            for day in span.days {
                let time = monday + Double(day.rawValue) * Self.day + Double(span.begin) * 60
                for opening in [time - Self.week, time, time + Self.week] {
                    if opening <= now, now < opening + span.length { return nil }
                    if opening > now { next = min(next, opening) }
                }
            }
        }
        return next
    }

    /// When what others have now, `held`, may give way to another; nil: at once.
    package func opening(for held: Validity, at now: Double) -> Double? {
        let urgent = held.notAfter - held.life / Self.urgentPart
        guard now < urgent, let opening = opening(at: now) else { return nil }
        return min(opening, urgent)
    }
}
