import FoundationEssentials
import OpenSSL
import PlaneAPI
import TestSupport
import Testing

@testable import PlaneClient

@Suite struct `An offer to join` {
    private static let bundle = JoinBundle(
        url: "https://plane.example:8443", cluster: "alpha", node: "db-1",
        pins: ["sha256:" + String(repeating: "0a", count: 32)], token: "one-time-token")

    private func offer(_ text: String) throws -> JoinOffer {
        try JoinOffer(reading: SecretReference(copying: Array(text.utf8)))
    }

    @Test func `says what its bundle says, and keeps the token apart`() throws {
        let line = try Self.bundle.text
        for text in [line, " \n\t" + line + "\n", line + "\r\nmore"] {
            let offer = try offer(text)
            #expect(offer.bundle.url == Self.bundle.url && offer.bundle.pins == Self.bundle.pins)
            #expect(offer.bundle.cluster == "alpha" && offer.bundle.node == "db-1" && offer.bundle.token == "")
            #expect(offer.token.withSecret { $0.copy() } == Array("one-time-token".utf8))
            #expect(offer.digest == Digest.sha256(Array("one-time-token".utf8)))
        }
    }

    @Test func `is refused exactly where its bundle is, in the same words`() throws {
        func encoded(_ json: String) -> String {
            JoinBundle.prefix + Base64URL.encode(.init(Array(json.utf8)))
        }
        let pin = "sha256:" + String(repeating: "0a", count: 32)
        let texts = [
            "", "secret", JoinBundle.prefix, JoinBundle.prefix + "e30=", JoinBundle.prefix + "e+0",
            encoded("{}"), encoded("[]"), encoded("{\"url\":\"https://x\"}"),
            encoded(#"{"url":"http://x","cluster":"a","node":"b","pins":["\#(pin)"],"token":"t"}"#),
            encoded(#"{"url":"https://x","cluster":"a/b","node":"b","pins":["\#(pin)"],"token":"t"}"#),
            encoded(#"{"url":"https://x","cluster":"a","node":"b","pins":[],"token":"t"}"#),
            encoded(#"{"url":"https://x","cluster":"a","node":"b","pins":["x"],"token":"t"}"#),
            encoded(#"{"url":"https://x","cluster":"a","node":"b","pins":["\#(pin)"],"token":""}"#),
            encoded(#"{"url":"https://x","cluster":"a","node":"b","pins":["\#(pin)"]}"#),
            String(repeating: "s", count: JoinBundle.sizeLimit + 1),
        ]
        for text in texts {
            let flaw = #expect(throws: JoinBundle.Flaw.self) { try JoinBundle(text: text) }
            let ours = #expect(throws: JoinBundle.Flaw.self, "\(text.prefix(40))") { try offer(text) }
            if case .notJSON = flaw, case .notJSON = ours { continue }
            #expect(flaw == ours, "\(text.prefix(40))")
        }
    }

    @Test func `hides its token in whatever a server repeats`() throws {
        let token = try offer(try Self.bundle.text).token
        #expect("one-time-token".hiding(token) == "(the token)")
        #expect("a one-time-token and a one-time-toke".hiding(token) == "a (the token) and a one-time-toke")
        #expect("nothing".hiding(token) == "nothing" && "".hiding(token) == "")
    }
}
