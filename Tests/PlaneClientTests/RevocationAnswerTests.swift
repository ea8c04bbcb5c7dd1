import Testing

@testable import HTTP
@testable import PlaneClient

@Suite struct `An answer about CRLs` {
    private func answer(
        _ status: Int, _ headers: [(name: String, value: String)] = [], _ body: [UInt8] = [],
        after known: String? = "\"1-2\""
    ) throws(PlaneError) -> RevocationAnswer {
        try RevocationAnswer(
            HTTPResponse(status: status, headers: headers, body: body, secret: nil, peerChain: []), after: known)
    }

    @Test func `has the lists, or says that they are known`() throws {
        let new = try answer(200, [("ETag", "\"1-2\""), ("Preference-Applied", "wait=50")], [0x30])
        #expect(new.lists == [0x30] && new.tag == "\"1-2\"" && new.isAwaited)
        let known = try answer(304, [("etag", "W/\"1-2\"")])
        #expect(known.lists == nil && known.tag == "W/\"1-2\"" && !known.isAwaited)
        #expect(try !answer(304, [("Preference-Applied", "return=minimal")]).isAwaited)
    }

    private static let long = String(repeating: "a", count: 300)

    @Test(arguments: ["", "\"", "\"\"", "1-2", "\"a\nb\"", "\"\u{7F}\"", "\"\(long)\""])
    func `has a tag only where it can be named again`(tag: String) throws {
        #expect(try answer(200, [("ETag", tag)], [0x30]).tag == nil)
    }

    @Test(arguments: [
        (404, PlaneError.Kind.configuration), (503, .throttled), (500, .failing), (302, .redirect),
    ])
    func `may be none`(status: Int, kind: PlaneError.Kind) {
        #expect(throws: PlaneError.self) { try answer(status) }
        let error = Result { () throws(PlaneError) in try answer(status) }
        guard case .failure(let failure) = error else { return }
        #expect(failure.kind == kind)
    }

    @Test func `that is empty, or says that they are known where none was named, is none`() {
        #expect(throws: PlaneError.self) { try answer(200, [("ETag", "\"1\"")]) }
        #expect(throws: PlaneError.self) { try answer(304, [("ETag", "\"1\"")], after: nil) }
    }
}
