import Testing

@testable import Proxy

@Suite struct `A map of database users` {
    private func map(_ text: String) throws(DatabaseUserMap.Mistake) -> DatabaseUserMap {
        try DatabaseUserMap(Array(text.utf8))
    }

    private func peer(_ name: String, uri: String? = nil, user: String?) -> PeerAttributes {
        var peer = PeerAttributes()
        peer.commonNames = [name]
        peer.uris = uri.map { [$0] } ?? []
        peer.session = SessionRequest(user: user, database: nil, isReplication: false)
        return peer
    }

    @Test func `has the users of each certificate, byte for byte, and no other`() throws {
        let map = try map(
            """
            # who may be whom
            common-name:shop   shop_app shop_batch   # two

            uri:spiffe://c/app/*\tshop_app\r
            "common-name:Jane Doe" "jane doe"
            """)
        #expect(map.allows(peer("shop", user: "shop_app")))
        #expect(map.allows(peer("shop", user: "shop_batch")))
        #expect(!map.allows(peer("shop", user: "Shop_app")))
        #expect(!map.allows(peer("shop", user: "root")))
        #expect(!map.allows(peer("shop", user: nil)))
        #expect(!map.allows(peer("shop", user: "")))
        #expect(!map.allows(peer("Shop", user: "shop_app")))
        #expect(map.allows(peer("x", uri: "spiffe://c/app/web", user: "shop_app")))
        #expect(!map.allows(peer("x", uri: "spiffe://c/app/a/b", user: "shop_app")))
        #expect(!map.allows(peer("x", uri: "spiffe://c/app/web", user: "shop_batch")))
        #expect(map.allows(peer("Jane Doe", user: "jane doe")))
        #expect(!map.allows(peer("shop", user: "#")))
    }

    @Test func `may say that the user is the certificate's own name`() throws {
        let map = try map("common-name =\ndns:batch batch")
        #expect(map.allows(peer("shop", user: "shop")))
        #expect(!map.allows(peer("shop", user: "root")))
        #expect(!map.allows(peer("shop", user: "batch")))
        #expect(!map.allows(PeerAttributes()))
    }

    @Test(
        arguments: [
            ("", nil, "maps nobody"), ("# only words\n\n", nil, "maps nobody"),
            ("\ncommon-name:a", 2, "user is missing"),
            ("a b", 1, "no key of a certificate"), ("database-user:a b", 1, "no key of a certificate"),
            ("common-name b", 1, "has no value"), ("uri =", 1, "goes with common-name"), ("dns:a =", 1, "bare key"),
            ("common-name:a b\nuri:shop b", 2, "no URI"), ("common-name:* b", 1, "`*`"), ("serial:0A b", 1, "issuer"),
            ("common-name: b", 1, "is empty"), ("common-name:a \"\"", 1, "is empty"),
            ("common-name:a \"b", 1, "not closed"),
            ("common-name:a b\u{0}", 1, "control character"),
        ] as [(String, Int?, String)])
    func `has its mistakes named with their lines`(text: String, line: Int?, reason: String) {
        let mistake = #expect(throws: DatabaseUserMap.Mistake.self) { try map(text) }
        #expect(mistake?.line == line)
        #expect(mistake?.description.contains(reason) == true, "\(mistake as Any)")
    }

    @Test func `is text of a bounded size`() {
        #expect(throws: DatabaseUserMap.Mistake.self) { try DatabaseUserMap([0xFF]) }
        #expect(throws: DatabaseUserMap.Mistake.self) {
            try DatabaseUserMap([UInt8](repeating: 0x20, count: DatabaseUserMap.sizeLimit + 1))
        }
    }

    @Test func `counts beside the rules of its listener`() throws {
        let policy = AccessPolicy(
            allow: [try AccessRule([.commonName: ["shop", "intern"]])], users: try map("common-name:shop app"))
        #expect(policy.namesSession)
        for (name, user, objection) in [
            ("shop", "app", nil), ("shop", "root", Objection.user), ("intern", "app", .user), ("x", "app", .noRule),
        ] {
            switch policy.authorize(peer(name, user: user)) {
            case .allowed: #expect(objection == nil)
            case .refused(let found): #expect(found == objection)
            }
        }
    }
}
