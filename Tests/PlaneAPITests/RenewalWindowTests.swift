import PlaneAPI
import Testing

@Suite struct `A renewal window` {
    private let issuer = String(repeating: "0a", count: 32)

    @Test func `is read as it was written, several too`() {
        let windows = [
            RenewalWindow(issuer: issuer, start: 1_790_000_000, end: 1_790_003_600),
            RenewalWindow(issuer: issuer, start: 5, end: 1),
        ]
        let text = RenewalWindow.text(of: windows)
        #expect(text.hasPrefix("2026-09-21T14:13:20Z/2026-09-21T15:13:20Z; issuer=0a0a"))
        #expect(RenewalWindow.all(in: text) == windows)
        #expect(windows[1].end == 5, "it does not end before it begins")
    }

    @Test(arguments: [
        "", ";", "2026-09-21T14:13:20Z; issuer=ISSUER", "2026-09-21T14:13:20Z/2026-09-21T14:13:19Z; issuer=ISSUER",
        "2026-09-21T14:13:20Z/2026-09-21T14:13:20Z", "2026-09-21T14:13:20Z/now; issuer=ISSUER",
        "2026-09-21T14:13:20Z/2026-09-21T14:13:20Z; issuer=0A", "/; issuer=ISSUER",
        "2026-09-21T14:13:20Z/2026-09-21T14:13:20Z/2026-09-21T14:13:20Z; issuer=ISSUER",
        "2026-09-21T14:13:20Z/2026-09-21T14:13:20Z; issuer=ISSUER; x=1",
    ]) func `of another form is none`(text: String) {
        #expect(RenewalWindow(text: text.replacing("ISSUER", with: issuer)) == nil)
    }

    @Test func `beyond the limit, and behind one that is not understood, takes nothing with it`() {
        let good = RenewalWindow(issuer: issuer, start: 1, end: 2)
        #expect(RenewalWindow.all(in: "nonsense, \(good.text)") == [good])
        let many = Array(repeating: good, count: 2 * RenewalWindow.countLimit)
        #expect(RenewalWindow.text(of: many).split(separator: ",").count == RenewalWindow.countLimit)
        #expect(RenewalWindow.all(in: many.map(\.text).joined(separator: ",")).count == RenewalWindow.countLimit)
    }
}
