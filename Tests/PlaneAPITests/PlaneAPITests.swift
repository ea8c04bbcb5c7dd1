import FoundationEssentials
import PlaneAPI
import Testing

@Suite struct `A join bundle` {
    static let pin = "sha256:" + String(repeating: "ab", count: 32)
    static let good = JoinBundle(
        url: "https://plane.example:8443", cluster: "alpha", node: "db-1", pins: [pin], token: "id.secret")

    @Test func `is one line that reads back the same, whatever stands around it`() throws {
        let text = try Self.good.text
        #expect(text.hasPrefix("nodeguard-join:1:") && !text.contains("\n") && !text.contains("="))
        #expect(try JoinBundle(text: text) == Self.good)
        #expect(try JoinBundle(text: "  \n" + text + "\n# from ops") == Self.good)
    }

    private func text(_ json: String) -> String { JoinBundle.prefix + Base64URL.encode(Data(json.utf8)) }

    @Test(arguments: [
        (
            JoinBundle(url: "http://x", cluster: "a", node: "n", pins: [pin], token: "t"),
            JoinBundle.Flaw.badURL("http://x")
        ),
        (JoinBundle(url: "https://x", cluster: "a b", node: "n", pins: [pin], token: "t"), .badName("cluster")),
        (JoinBundle(url: "https://x", cluster: "a", node: "../n", pins: [pin], token: "t"), .badName("node")),
        (JoinBundle(url: "https://x", cluster: "a", node: "n", pins: [], token: "t"), .missingPin),
        (JoinBundle(url: "https://x", cluster: "a", node: "n", pins: ["sha1:aa"], token: "t"), .badPin("sha1:aa")),
        (JoinBundle(url: "https://x", cluster: "a", node: "n", pins: [pin], token: ""), .notJSON("token")),
    ])
    func `is refused with the flaw's name`(bundle: JoinBundle, flaw: JoinBundle.Flaw) throws {
        let text = try bundle.text
        #expect(throws: flaw) { try JoinBundle(text: text) }
    }

    @Test func `is refused when it is none, damaged, or too large`() throws {
        #expect(throws: JoinBundle.Flaw.notABundle) { try JoinBundle(text: "") }
        #expect(throws: JoinBundle.Flaw.notABundle) { try JoinBundle(text: "nodeguard-join:2:e30") }
        #expect(throws: JoinBundle.Flaw.notBase64) { try JoinBundle(text: "nodeguard-join:1:***") }
        #expect(throws: JoinBundle.Flaw.tooLarge) {
            try JoinBundle(text: "nodeguard-join:1:" + String(repeating: "A", count: JoinBundle.sizeLimit))
        }
        #expect(throws: JoinBundle.Flaw.self) { try JoinBundle(text: text("{}")) }
        #expect(throws: JoinBundle.Flaw.self) { try JoinBundle(text: text(#"{"url":1}"#)) }
        let whole = try Self.good.text
        for count in JoinBundle.prefix.count..<whole.count {
            #expect(throws: JoinBundle.Flaw.self) { try JoinBundle(text: String(whole.prefix(count))) }
        }
    }

    @Test func `never quotes its token`() throws {
        let flaws: [JoinBundle.Flaw] = [.notABundle, .tooLarge, .notBase64, .notJSON("token"), .missingPin]
        #expect(flaws.allSatisfy { !$0.description.contains("id.secret") })
    }
}

@Suite struct `The wire's names` {
    @Test func `are the contract's`() {
        #expect(EST.path(label: "alpha", operation: .authorities) == "/.well-known/est/alpha/cacerts")
        #expect(EST.roleLabel(cluster: "alpha", role: "database") == "alpha.database")
        #expect(AuditBatches.path(epoch: 7, first: 1, last: 20) == "/v1/nodes/self/audit/7/1-20")
        #expect(AuditBatches.keyPath(epoch: 7) == "/v1/nodes/self/audit/7/key")
        #expect(AuditBatches.origin(node: "db-1", epoch: 7) == "nodeguard/db-1/7")
        #expect(Keys.unwrapPath(id: "k") == "/v1/keys/k/unwrap" && Keys.deletionPath(id: "k") == "/v1/keys/k/deletion")
    }

    @Test(arguments: ["a", "db-1", "A_b.c-9", String(repeating: "x", count: 63)])
    func `take plain names`(text: String) { #expect(Name.isValid(text)) }

    @Test(arguments: ["", ".", "..", "a/b", "a b", "ä", "a\n", "a\0", String(repeating: "x", count: 64)])
    func `refuse what could become a path or a line`(text: String) { #expect(!Name.isValid(text)) }

    @Test func `carry bytes as base64url without padding`() {
        for count in 0...70 {
            let bytes = Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 251) })
            let text = Base64URL.encode(bytes)
            #expect(!text.contains { "+/=".contains($0) } && Base64URL.decode(text) == bytes)
        }
        #expect(Base64URL.decode("YR") == nil && Base64URL.decode("YQ") == Data("a".utf8))
        #expect(Base64URL.decode("a+b/") == nil && Base64URL.decode("YQ==") == nil && Base64URL.decode("*") == nil)
    }

    @Test func `are written with sorted keys and plain slashes`() throws {
        let refusal = PlaneRefusal(reason: "token-spent", detail: "a/b")
        let text = String(decoding: try JSONEncoder.plane.encode(refusal), as: UTF8.self)
        #expect(text == #"{"detail":"a/b","reason":"token-spent"}"#)
        #expect(try JSONDecoder().decode(PlaneRefusal.self, from: Data(text.utf8)) == refusal)
    }
}
