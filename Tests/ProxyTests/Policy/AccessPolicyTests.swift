import Testing

@testable import Proxy

@Suite struct `An access policy` {
    @Test func `compares bytes, not what Unicode holds for equal`() throws {
        var peer = PeerAttributes()
        peer.commonNames = ["ren\u{65}\u{301}"]
        let policy = AccessPolicy(allow: [try AccessRule([.commonName: ["ren\u{E9}"]])])
        guard case .refused(.noRule) = policy.authorize(peer) else {
            Issue.record("allowed")
            return
        }
        var other = peer
        other.subject = "CN=\u{E9}"
        peer.subject = "CN=e\u{301}"
        #expect(!peer.isSameIdentity(as: other))
    }

    static let shop: PeerAttributes = {
        var peer = PeerAttributes()
        peer.commonNames = ["shop"]
        peer.organizations = ["Acme"]
        peer.organizationalUnits = ["Web"]
        peer.dnsNames = ["shop.example"]
        peer.addresses = [[10, 0, 0, 1], [UInt8](repeating: 0, count: 15) + [1]]
        peer.uris = ["spiffe://c/app/shop"]
        peer.emails = ["shop@example"]
        peer.subject = "CN=shop"
        peer.issuer = "CN=ca"
        peer.serial = "0A:1B"
        peer.publicKeySHA256 = [UInt8](repeating: 0xAB, count: 32)
        peer.usages = ["1.3.6.1.5.5.7.3.2"]
        peer.session = SessionRequest(user: "reporter", database: "reports", isReplication: false)
        return peer
    }()

    static let fitting: [AccessRule.Key: String] = [
        .commonName: "shop", .organization: "Acme", .organizationalUnit: "Web", .dns: "shop.example", .ip: "10.0.0.1",
        .uri: "spiffe://c/app/*", .email: "shop@example", .issuer: "CN=ca", .serial: "a1b",
        .spki: "sha256:" + String(repeating: "ab", count: 32), .databaseUser: "reporter",
        .database: "reports", .usage: "clientAuth",
    ]

    static let other: [AccessRule.Key: String] = [
        .commonName: "Shop", .organization: "shop", .organizationalUnit: "web", .dns: "SHOP.example", .ip: "10.0.0.2",
        .uri: "spiffe://c/*", .email: "shop@example.com", .issuer: "CN=CA", .serial: "0A1C",
        .spki: "sha256:" + String(repeating: "ac", count: 32), .databaseUser: "postgres",
        .database: "orders", .usage: "serverAuth",
    ]

    private func rule(_ key: AccessRule.Key, _ values: [String]) throws -> AccessRule {
        try AccessRule(key == .serial ? [.serial: values, .issuer: ["CN=ca"]] : [key: values])
    }

    private func isAllowed(_ policy: AccessPolicy, _ peer: PeerAttributes = shop) -> Bool {
        if case .allowed = policy.authorize(peer) { true } else { false }
    }

    @Test func `without a rule lets nobody in`() {
        #expect(!isAllowed(AccessPolicy()))
    }

    @Test(arguments: AccessRule.Key.allCases) func `matches each kind of name by its bytes`(_ key: AccessRule.Key)
        throws
    {
        let fitting = try #require(Self.fitting[key])
        let other = try #require(Self.other[key])
        #expect(isAllowed(AccessPolicy(allow: [try rule(key, [fitting])])))
        #expect(!isAllowed(AccessPolicy(allow: [try rule(key, [other])])))
        #expect(isAllowed(AccessPolicy(allow: [try rule(key, [other, fitting])])), "any value suffices")
        #expect(!isAllowed(AccessPolicy(allow: [try rule(key, [fitting])]), PeerAttributes()), "a name that is absent")
    }

    @Test func `wants every key of a rule`() throws {
        let keys = AccessRule.Key.allCases
        #expect(isAllowed(AccessPolicy(allow: [try AccessRule(Self.fitting.mapValues { [$0] })])))
        for key in keys {
            var values = Self.fitting.mapValues { [$0] }
            values[key] = Self.other[key].map { [$0] }
            #expect(!isAllowed(AccessPolicy(allow: [try AccessRule(values)])), "\(key)")
        }
    }

    /// Type confusion (CVE-2022-21656): a name of one kind never counts as another.
    @Test func `never takes a name for one of another kind`() throws {
        for key: AccessRule.Key in [.commonName, .organization, .organizationalUnit, .dns, .email] {
            for place: AccessRule.Key in [.commonName, .organization, .organizationalUnit, .dns, .email] {
                var peer = PeerAttributes()
                switch place {
                case .commonName: peer.commonNames = ["x"]
                case .organization: peer.organizations = ["x"]
                case .organizationalUnit: peer.organizationalUnits = ["x"]
                case .dns: peer.dnsNames = ["x"]
                default: peer.emails = ["x"]
                }
                #expect(isAllowed(AccessPolicy(allow: [try rule(key, ["x"])]), peer) == (key == place))
            }
        }
    }

    @Test func `denies before it allows`() throws {
        let allow = try rule(.commonName, ["shop"])
        for key in AccessRule.Key.allCases {
            let deny = try rule(key, [try #require(Self.fitting[key])])
            #expect(!isAllowed(AccessPolicy(allow: [allow], deny: [deny])), "\(key)")
        }
        #expect(isAllowed(AccessPolicy(allow: [allow], deny: [try rule(.commonName, ["other"])])))
    }

    @Test func `counts a denied serial with its issuer only`() throws {
        let allow = try rule(.commonName, ["shop"])
        let elsewhere = try AccessRule([.serial: ["0A:1B"], .issuer: ["CN=other"]])
        #expect(isAllowed(AccessPolicy(allow: [allow], deny: [elsewhere])))
        #expect(throws: AccessRule.Mistake.self) { try AccessRule([.serial: ["0A:1B"]]) }
    }

    @Test func `denies what hangs below a denied intermediate`() throws {
        var intermediate = PeerAttributes()
        intermediate.issuer = "CN=root"
        intermediate.serial = "07"
        let policy = AccessPolicy(
            allow: [try rule(.commonName, ["shop"])], deny: [try AccessRule([.serial: ["7"], .issuer: ["CN=root"]])])
        #expect(isAllowed(policy))
        guard case .refused(.denied(let rule)) = policy.authorize(Self.shop, intermediates: [intermediate]) else {
            Issue.record("allowed below a denied intermediate")
            return
        }
        #expect(rule == "deny[0] {issuer: CN=root, serial: 7}")
    }

    @Test func `reads a serial number whatever its form`() throws {
        for text in ["0A:1B", "0a1b", "A1B", "0000A1B"] {
            #expect(isAllowed(AccessPolicy(allow: [try rule(.serial, [text])])))
        }
    }

    @Test func `knows an IPv6 address by its value`() throws {
        #expect(isAllowed(AccessPolicy(allow: [try rule(.ip, ["0:0::1"])])))
    }

    @Test(
        arguments: [
            (AccessRule.Key.ip, "10.0.0"), (.ip, "localhost"), (.ip, "10.0.0.0/8"), (.serial, "xyz"), (.serial, ""),
            (.spki, "ab"), (.spki, "sha256:ab"), (.spki, "sha1:" + String(repeating: "a", count: 40)), (.uri, "shop"),
            (.commonName, ""), (.commonName, "*"), (.dns, "*.example"), (.email, "*@example"), (.databaseUser, ""),
            (.database, ""), (.databaseUser, String(repeating: "a", count: 64)), (.usage, "clientauth"),
            (.usage, "1"), (.usage, "3.1"), (.usage, "1.40"), (.usage, "1.3.06"), (.usage, "1..3"), (.usage, "01.3"),
        ])
    func `names the mistake in a rule`(_ key: AccessRule.Key, _ value: String) {
        let error = #expect(throws: AccessRule.Mistake.self) { try rule(key, [value]) }
        #expect(error?.key == key)
        #expect(error?.value == value)
        #expect(error?.description.isEmpty == false)
    }

    @Test func `has no rule without a key or a value`() {
        #expect(throws: AccessRule.Mistake.self) { try AccessRule([:]) }
        #expect(throws: AccessRule.Mistake.self) { try AccessRule([.dns: []]) }
    }
}
