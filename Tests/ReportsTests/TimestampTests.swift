import Reports
import Testing

@Suite struct `A timestamp` {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (951_782_399_999_999_999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (4_107_542_400_000_001_000, "2100-03-01T00:00:00.000001Z"),
        (1_795_472_542_495_123_456, "2026-11-23T22:22:22.495123Z"),
        (-2_203_977_600_000_000_000, "1900-02-28T00:00:00.000000Z"),
    ])
    func `is RFC 3339 in UTC`(nanoseconds: Int64, text: String) {
        #expect(Timestamp(nanoseconds: nanoseconds).precise == text)
        #expect(Timestamp(nanoseconds: nanoseconds).description == text.prefix(19) + "Z")
    }

    @Test func `counts on, day after day, as the calendar does`() {
        var last = ""
        for day in 0..<60_000 {
            let text = Timestamp(seconds: Int64(day) * 86_400).description
            #expect(text > last)
            last = text
        }
        #expect(last == "2134-04-10T00:00:00Z")
    }

    @Test func `rounds seconds down, before 1970, too`() {
        #expect(Timestamp(nanoseconds: -1).seconds == -1)
        #expect(Timestamp(nanoseconds: 1_999_999_999).seconds == 1)
        #expect(Timestamp(seconds: 1) < Timestamp(nanoseconds: 1_000_000_001))
    }
}
