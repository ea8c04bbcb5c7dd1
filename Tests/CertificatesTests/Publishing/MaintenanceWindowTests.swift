import Foundation
import Testing

@testable import Certificates

@Suite struct `A window for maintenance` {
    private typealias Window = MaintenanceWindow

    /// Seconds since 1970 of a time in UTC, by the calendar of Foundation and not by ours.
    private func time(_ text: String) throws -> Double {
        try #require(try? Date("\(text):00Z", strategy: .iso8601)).timeIntervalSince1970
    }

    private func window(_ days: [Window.Day], _ begin: Int, _ end: Int) -> Window {
        Window([Window.Span(days: days, begin: begin * 60, end: end * 60)])
    }

    @Test func `is open on its day, from its first second on and not in its last`() throws {
        let window = window([.saturday], 2, 4)
        #expect(window.opening(at: try time("2026-12-05T02:00")) == nil)
        #expect(window.opening(at: try time("2026-12-05T03:59")) == nil)
        #expect(window.opening(at: try time("2026-12-05T04:00")) == (try time("2026-12-12T02:00")))
        #expect(window.opening(at: try time("2026-12-05T02:00") - 1) == (try time("2026-12-05T02:00")))
        #expect(window.opening(at: try time("2026-12-06T02:30")) == (try time("2026-12-12T02:00")))
        #expect(window.opening(at: try time("1970-01-01T00:00")) == (try time("1970-01-03T02:00")))
        #expect(window.opening(at: try time("1969-12-27T03:00")) == nil)
    }

    @Test func `may last into the next day, and the next week`() throws {
        let window = window([.sunday], 22, 1)
        #expect(window.opening(at: try time("2026-12-06T21:59")) == (try time("2026-12-06T22:00")))
        for open in ["2026-12-06T22:00", "2026-12-06T23:59", "2026-12-07T00:59"] {
            #expect(window.opening(at: try time(open)) == nil, "\(open)")
        }
        #expect(window.opening(at: try time("2026-12-07T01:00")) == (try time("2026-12-13T22:00")))
    }

    @Test func `may be of several spans, of which the next counts`() throws {
        let window = Window([
            Window.Span(days: [.tuesday, .thursday], begin: 60, end: 120),
            Window.Span(days: [.wednesday], begin: 30, end: 45),
        ])
        #expect(window.opening(at: try time("2026-12-01T03:00")) == (try time("2026-12-02T00:30")))
        #expect(window.opening(at: try time("2026-12-02T00:45")) == (try time("2026-12-03T01:00")))
        #expect(window.opening(at: try time("2026-12-03T01:30")) == nil)
    }

    /// Against a calendar that knows nothing of it, over a year with both changes to and from summer time.
    @Test func `opens as the calendar says, each hour of a year`() throws {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        let window = window([.monday, .friday], 22, 3)
        let begin = try time("2026-01-01T00:30")
        for hour in 0..<(365 * 24) {
            let now = begin + Double(hour) * 3600
            let parts = calendar.dateComponents([.weekday, .hour], from: Date(timeIntervalSince1970: now))
            let (day, hourOfDay) = (try #require(parts.weekday), try #require(parts.hour))
            let isOpen = ([2, 6].contains(day) && hourOfDay >= 22) || ([3, 7].contains(day) && hourOfDay < 3)
            let opening = window.opening(at: now)
            #expect((opening == nil) == isOpen, "\(Date(timeIntervalSince1970: now))")
            guard let opening else { continue }
            #expect(opening > now && opening <= now + 7 * 86_400 && window.opening(at: opening) == nil)
            #expect(window.opening(at: opening - 1) == opening)
        }
    }

    @Test func `is waited for until a sixth of the life of what is there is left`() throws {
        let window = window([.saturday], 2, 4)
        let opening = try time("2026-12-05T02:00")
        // Sixty days, of which a sixth is left a day before it opens.
        let held = Validity(notBefore: opening - 86_400 * 51, notAfter: opening + 86_400 * 9)
        #expect(window.opening(for: held, at: opening - 86_400) == nil)
        #expect(window.opening(for: held, at: opening - 86_401) == opening - 86_400)
        let fresh = Validity(notBefore: opening - 86_400, notAfter: opening + 86_400 * 90)
        #expect(window.opening(for: fresh, at: opening - 3600) == opening)
        #expect(window.opening(for: fresh, at: opening) == nil)
        let ended = Validity(notBefore: 0, notAfter: opening - 86_400)
        #expect(window.opening(for: ended, at: opening - 3600) == nil)
    }
}
