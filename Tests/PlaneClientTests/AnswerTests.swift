import TestSupport
import Testing

@testable import PlaneClient

@Suite struct `An answer of the plane` {
    private func error(_ status: Int, _ retryAfter: String? = nil, _ body: String = "") -> PlaneError {
        Answer.error(status: status, body: Array(body.utf8), retryAfter: retryAfter, doing: "ask")
    }

    @Test(arguments: [
        (202, PlaneError.Kind.pending), (401, .unauthorized), (403, .denied), (400, .request), (415, .request),
        (422, .request), (404, .configuration), (405, .configuration), (406, .configuration), (501, .configuration),
        (300, .configuration), (301, .redirect), (302, .redirect), (303, .configuration), (307, .redirect),
        (308, .redirect), (409, .busy), (423, .busy), (429, .throttled), (503, .throttled), (413, .tooLarge),
        (500, .failing), (502, .failing), (504, .failing), (199, .protocolError), (700, .protocolError),
    ])
    func `has one class, which says what is to be done`(status: Int, kind: PlaneError.Kind) {
        #expect(error(status).kind == kind)
    }

    @Test func `tells the next number when a batch does not follow`() {
        #expect(error(409, nil, #"{"next":42}"#).kind == .conflict(next: 42))
    }

    @Test func `carries the plane's reason, short and without what could forge a log line`() {
        let detail = String(repeating: "x", count: 5000) + "end"
        let refusal = error(403, nil, #"{"reason":"name-not-allowed","detail":"a\nb\u001b[2J\#(detail)"}"#)
        #expect(refusal.reason == "name-not-allowed")
        #expect(!refusal.detail.contains("\n") && !refusal.detail.contains("\u{1B}"))
        #expect(refusal.detail.utf8.count < 700)
        let forged = error(403, nil, #"{"reason":"a\nb\u009b2J","detail":""}"#)
        #expect(forged.reason == "ab2J" && !forged.detail.contains("\n"))
        #expect(error(403, nil, "<html>denied</html>").detail == "ask: the plane answered 403")
    }

    @Test(arguments: [
        ("text/plain", "the subject\nis wrong\u{1B}[2J", "ask: the plane answered 400 (the subjectis wrong[2J)"),
        ("Text/Plain; charset=utf-8", "no", "ask: the plane answered 400 (no)"),
        ("text/plain", "", "ask: the plane answered 400"),
        (
            "application/problem+json", #"{"title":"Bad","detail":"weak key","x":1}"#,
            "ask: the plane answered 400 (Bad: weak key)"
        ),
        ("application/problem+json", "{", "ask: the plane answered 400"),
        ("text/html", "<p>", "ask: the plane answered 400"),
        ("application/pkcs7-mime; smime-type=CMC-response", "MIIB", "ask: the plane answered 400"),
    ])
    func `tells what an EST server says of its refusal`(type: String, body: String, detail: String) {
        let error = Answer.error(status: 400, type: type, body: Array(body.utf8), retryAfter: nil, doing: "ask")
        #expect(error.detail == detail)
        let long = Answer.error(
            status: 400, type: "text/plain", body: Array(repeating: 0x41, count: 100_000), retryAfter: nil,
            date: "Sun, 06 Nov 1994 08:49:37 GMT", doing: "ask")
        #expect(long.detail.utf8.count < 600)
        #expect(long.serverTime == 784_111_777)
    }

    @Test func `says when to come again in seconds or as a date, within bounds`() {
        #expect(error(503, "17").retryAfter == .seconds(17))
        #expect(error(503, " 17\t").retryAfter == .seconds(17))
        #expect(error(429, "0").retryAfter == .seconds(1))
        #expect(error(429, "99999999").retryAfter == .seconds(172_800))
        #expect(error(503, "soon").retryAfter == nil)
        #expect(error(202).retryAfter == .seconds(300), "a 202 must say it (RFC 7030, section 4.2.3); some do not")
        let now = HTTPDate.parse("Sun, 06 Nov 1994 08:49:37 GMT") ?? 0
        #expect(Answer.retryAfter("Sun, 06 Nov 1994 08:50:37 GMT", now: now) == .seconds(60))
        #expect(Answer.retryAfter("Sun, 06 Nov 1994 08:00:00 GMT", now: now) == .seconds(1))
    }
}

@Suite struct `A date of HTTP` {
    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199), ("Tue, 24 Nov 2026 12:00:00 GMT", 1_795_521_600),
        ] as [(String, Int64)])
    func `is read`(text: String, seconds: Int64) {
        #expect(HTTPDate.parse(text) == seconds)
    }

    /// RFC 9110, section 5.6.7: recipients accept all three.
    @Test(arguments: ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    func `is read in its two old forms`(text: String) {
        #expect(HTTPDate.parse(text) == 784_111_777)
    }

    @Test(arguments: [
        "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 06 Nov 1994 -1:49:37 GMT",
    ])
    func `that is none is none`(text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }
}
