import Foundation
import TestSupport
import Testing

@testable import Proxy

@Suite struct `A deny list` {
    private func list(_ text: String) throws -> DenyList { try DenyList(text: Array(text.utf8), path: "/denied") }

    private var shop: PeerAttributes {
        var peer = PeerAttributes()
        peer.commonNames = ["shop"]
        peer.dnsNames = ["shop.example"]
        peer.uris = ["spiffe://c/app/shop"]
        peer.addresses = [[192, 0, 2, 1]]
        peer.emails = ["shop@example.org"]
        peer.issuer = "CN=Intermediate,O=Example Org"
        peer.serial = "0A:1B"
        peer.publicKeySHA256 = Array(repeating: 0xAB, count: 32)
        return peer
    }

    @Test(arguments: [
        "serial 0A:1B CN=Intermediate,O=Example Org", "serial a1b\tCN=Intermediate,O=Example Org  ",
        "spki sha256:" + String(repeating: "aB", count: 32), "uri spiffe://c/app/shop", "uri spiffe://c/app/*",
        "uri spiffe://c/**", "common-name shop", "  common-name\tshop\r", "dns shop.example", "ip 192.0.2.1",
        "email shop@example.org", "issuer CN=Intermediate,O=Example Org", "# all of them\n\ncommon-name shop\n",
    ])
    func `denies whom it names, by any name`(text: String) throws {
        #expect(try list(text).denial(of: shop) != nil)
        #expect(try list(text).count == 1)
    }

    @Test(arguments: [
        "", "# common-name shop", "common-name Shop", "common-name shop2", "dns shop", "uri spiffe://c/app",
        "serial 0A:1B CN=Other", "serial 0A:1C CN=Intermediate,O=Example Org", "ip 192.0.2.2",
        "spki sha256:" + String(repeating: "00", count: 32), "uri spiffe://d/app/*", "common-name shop.example",
    ])
    func `denies nobody else`(text: String) throws {
        #expect(try list(text).denial(of: shop) == nil)
    }

    @Test func `denies with an authority whatever hangs below it`() throws {
        var authority = PeerAttributes()
        authority.commonNames = ["Intermediate"]
        let list = try list("common-name Intermediate")
        #expect(list.denial(of: shop) == nil)
        #expect(list.denial(of: shop, [authority]) == "common-name Intermediate")
    }

    @Test(arguments: [
        ("nonsense", "'nonsense' is no key of a deny list"), ("database-user a", "is no key of a deny list"),
        ("uri", "'uri' has no value"), ("uri nothing", "'nothing'"), ("serial 0A:1B", "counts with its issuer"),
        ("serial xyz CN=a", "'xyz' is no hexadecimal serial"), ("ip localhost", "'localhost' is no IP address"),
        ("spki abc", "is not sha256:"), ("spki sha256:ab", "is not sha256:"),
    ])
    func `with a mistake is none, and says in which line`(line: String, reason: String) throws {
        let text = "common-name good\n\n\(line)\ncommon-name other"
        let mistakes = #expect(throws: DenyList.Mistakes.self) { try list(text) }
        #expect(mistakes?.description.hasPrefix("/denied:3: ") == true)
        #expect(mistakes?.description.contains(reason) == true, "\(mistakes?.description ?? "")")
    }

    @Test func `tells the first mistakes of many`() throws {
        let mistakes = #expect(throws: DenyList.Mistakes.self) {
            try list(String(repeating: "a b\n", count: 500))
        }
        #expect(mistakes?.lines.count == 10 && mistakes?.description.hasSuffix("and 490 more") == true)
        #expect(throws: DenyList.Mistakes.self) { try DenyList(text: [0xFF, 0xFE], path: "/denied") }
        let patterns = (0...DenyList.patternLimit).map { "uri spiffe://c/\($0)/*" }.joined(separator: "\n")
        #expect(throws: DenyList.Mistakes.self) { try list(patterns) }
    }

    @Test func `of a hundred thousand is asked in no time`() throws {
        let lines = (0..<100_000).map { "serial \(String($0 + 70_000, radix: 16)) CN=Intermediate,O=Example Org" }
        let clock = ContinuousClock()
        var found: DenyList?
        let reading = try clock.measure { found = try list(lines.joined(separator: "\n")) }
        let denied = try #require(found)
        let peer = shop
        let asking = clock.measure { for _ in 0..<1000 { #expect(denied.denial(of: peer) == nil) } }
        print("deny list of \(denied.count): read in \(reading), asked in \(asking / 1000)")
        #expect(asking < .seconds(1))
    }
}
