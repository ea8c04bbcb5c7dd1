import Testing

@testable import Proxy

@Suite struct `A rule with groups` {
    /// Three names that a peer has or has not: every peer there can be for rules that ask for these.
    private static let peers: [PeerAttributes] = (0..<8).map { bits in
        var peer = PeerAttributes()
        if bits & 1 != 0 { peer.commonNames = ["a"] }
        if bits & 2 != 0 { peer.dnsNames = ["b"] }
        if bits & 4 != 0 { peer.emails = ["c"] }
        return peer
    }

    private static let leaves: [RuleTerms] = [
        RuleTerms([.commonName: ["a"]]), RuleTerms([.dns: ["b"]]), RuleTerms([.email: ["c"]]),
        RuleTerms([.commonName: ["a"], .dns: ["b"]]), RuleTerms([.commonName: ["x"]]),
    ]

    /// All groups of one or two of `parts`, alone and beside a key.
    private static func groups(of parts: [RuleTerms]) -> [RuleTerms] {
        let pairs = parts.flatMap { one in [[one]] + parts.map { [one, $0] } }
        return pairs.flatMap { pair in
            [
                RuleTerms(all: pair), RuleTerms(any: pair), RuleTerms([.commonName: ["a"]], any: pair),
                RuleTerms(all: [pair[0]], any: pair),
            ]
        }
    }

    /// What the words mean, said once more in the plainest way.
    private static func holds(_ terms: RuleTerms, _ peer: PeerAttributes) -> Bool {
        terms.keys.allSatisfy { key, values in values.contains { peer.shown(key).contains($0) } }
            && (terms.all ?? []).allSatisfy { holds($0, peer) }
            && (terms.any.map { $0.contains { holds($0, peer) } } ?? true)
    }

    @Test func `means what its words say, in every nesting of two levels, and explains each refusal`() throws {
        let once = Self.groups(of: Self.leaves)
        // Every fifth of them in pairs: some thousand rules.
        let some = once.enumerated().filter { $0.offset.isMultiple(of: 5) }.map(\.element)
        let all = Self.leaves + once + Self.groups(of: some)
        #expect(all.count > 1500)
        for terms in all {
            let rule = try AccessRule(terms)
            for peer in Self.peers {
                let expected = Self.holds(terms, peer)
                #expect(rule.allows(peer) == expected, "\(terms)")
                #expect(rule.matches(peer) == expected, "\(terms)")
                #expect((rule.mismatch(with: peer, in: .allow) == nil) == expected, "\(terms)")
                #expect((rule.mismatch(with: peer, in: .deny) == nil) == expected, "\(terms)")
            }
        }
    }

    @Test func `is written as YAML writes it`() throws {
        let terms = RuleTerms(
            [.uri: ["spiffe://a/*"], .organization: ["A", "B"]], all: [RuleTerms([.dns: ["x"]])],
            any: [RuleTerms([.email: ["y"]]), RuleTerms(any: [RuleTerms([.commonName: ["z"]])])], replication: .yes)
        #expect(
            try AccessRule(terms).description
                == "organization: [A, B], uri: spiffe://a/*, all: [{dns: x}], "
                + "any: [{email: y}, {any: [{common-name: z}]}], replication: yes")
    }

    @Test func `names the first key that fails, with what the certificate has`() throws {
        var peer = PeerAttributes()
        peer.commonNames = ["shop"]
        peer.addresses = [[10, 0, 0, 1]]
        peer.usages = ["1.3.6.1.5.5.7.3.2", "1.2.3"]
        func why(_ terms: RuleTerms) throws -> String? {
            try AccessRule(terms).mismatch(with: peer, in: .allow)?.description
        }
        #expect(try why(RuleTerms([.commonName: ["shop"], .dns: ["x"]])) == "there is no dns")
        #expect(try why(RuleTerms([.commonName: ["other"]])) == "common-name is \"shop\"")
        #expect(try why(RuleTerms([.ip: ["10.0.0.2"]])) == "ip is \"10.0.0.1\"")
        #expect(try why(RuleTerms([.usage: ["server"]])) == "usage is \"clientAuth (1.3.6.1.5.5.7.3.2)\", \"1.2.3\"")
        #expect(
            try why(RuleTerms(any: [RuleTerms([.commonName: ["b"]]), RuleTerms([.email: ["c"]])]))
                == "none of 'any': (common-name is \"shop\"), (there is no email)")
        #expect(try why(RuleTerms([.commonName: ["shop"]])) == nil)
    }

    @Test(arguments: [
        RuleTerms(), RuleTerms(all: []), RuleTerms(any: []), RuleTerms(any: [RuleTerms()]),
        RuleTerms(replication: .yes),
        RuleTerms(any: [RuleTerms([.commonName: ["a"]], replication: .yes)]),
        RuleTerms([.issuer: ["CN=ca"]], any: [RuleTerms([.serial: ["1"]])]),
    ])
    func `has no empty part, no permission in a group, and no serial apart from its issuer`(terms: RuleTerms) {
        #expect(throws: AccessRule.Mistake.self) { try AccessRule(terms) }
    }

    @Test func `is not nested without end`() throws {
        func nested(_ depth: Int) -> RuleTerms {
            (0..<depth).reduce(RuleTerms([.commonName: ["a"]])) { terms, _ in RuleTerms(any: [terms]) }
        }
        #expect(try AccessRule(nested(RuleTerms.depthLimit)).allows(Self.peers[1]))
        #expect(throws: AccessRule.Mistake.self) { try AccessRule(nested(RuleTerms.depthLimit + 1)) }
    }
}

@Suite struct `A rule about a session` {
    private func peer(
        _ user: String? = "shop", _ database: String? = "orders", replication: Bool = false
    ) -> PeerAttributes {
        var peer = AccessPolicyPeers.shop
        peer.session = SessionRequest(user: user, database: database, isReplication: replication)
        return peer
    }

    private func verdict(_ policy: AccessPolicy, _ peer: PeerAttributes) -> Objection? {
        switch policy.authorize(peer) {
        case .allowed: nil
        case .refused(let objection): objection
        }
    }

    @Test func `says whether user, database or replication is what must not be`() throws {
        let policy = AccessPolicy(allow: [
            try AccessRule([.commonName: ["other"], .databaseUser: ["root"]]),
            try AccessRule([.commonName: ["shop"], .databaseUser: ["shop"], .database: ["orders", "shop"]]),
        ])
        #expect(verdict(policy, peer()) == nil)
        #expect(verdict(policy, peer("shop", nil)) == nil, "the user's own database")
        #expect(verdict(policy, peer("root")) == .user)
        #expect(verdict(policy, peer(nil)) == .user)
        #expect(verdict(policy, peer("shop", "postgres")) == .database)
        #expect(verdict(policy, peer("shop", "orders", replication: true)) == .replication)
        #expect(verdict(policy, PeerAttributes()) == .noRule)
    }

    @Test func `never allows replication unless it says so`() throws {
        typealias Case = (list: AccessRule.List, replication: RuleTerms.Replication?, ordinary: Bool, walsender: Bool)
        let cases: [Case] = [
            (.allow, nil, true, false), (.allow, .no, true, false), (.allow, .yes, true, true),
            (.allow, .only, false, true), (.deny, nil, true, true), (.deny, .no, true, false),
            (.deny, .yes, false, true), (.deny, .only, false, true),
        ]
        for (list, replication, ordinary, walsender) in cases {
            let rule = try AccessRule(RuleTerms([.commonName: ["shop"]], replication: replication))
            for (peer, expected) in [(peer(), ordinary), (peer(replication: true), walsender)] {
                let holds = list == .allow ? rule.allows(peer) : rule.matches(peer)
                #expect(holds == expected, "\(list) \(replication as Any) \(peer.isReplication)")
                #expect((rule.mismatch(with: peer, in: list) == nil) == expected)
            }
        }
    }

    /// Physical replication copies every database, whichever the client names.
    @Test func `about a database gives no physical replication`() throws {
        let policy = AccessPolicy(allow: [
            try AccessRule(RuleTerms([.commonName: ["shop"], .database: ["orders"]], replication: .yes))
        ])
        #expect(verdict(policy, peer("shop", "orders", replication: true)) == nil, "logical")
        #expect(verdict(policy, peer("shop", nil, replication: true)) == .database)
        let packet = bigEndian(0) + bigEndian(196_608) + Array("user\0shop\0database\0orders\0replication\0on\0\0".utf8)
        #expect(StartupMessage(packet: packet)?.session.database == nil)
    }

    /// A server before PostgreSQL 17 cuts names at 63 bytes, and a rule would have looked at another name.
    @Test func `is not got round with a name that the server cuts`() throws {
        let root = String(repeating: "r", count: 63)
        let denied = AccessPolicy(
            allow: [try AccessRule([.commonName: ["shop"]])], deny: [try AccessRule([.databaseUser: [root]])])
        #expect(verdict(denied, peer(root)) == .denied(rule: "deny[0] {database-user: \(root)}"))
        #expect(verdict(denied, peer(root + "x")) == .user)
        #expect(verdict(denied, peer("shop", root + "x")) == .database)
        let open = AccessPolicy(allow: [try AccessRule([.commonName: ["shop"]])])
        #expect(verdict(open, peer(root + "x")) == nil, "nobody looks at the name")
    }

    @Test func `that denies holds below a denied intermediate too`() throws {
        var intermediate = PeerAttributes()
        intermediate.commonNames = ["Old"]
        let policy = AccessPolicy(
            allow: [try AccessRule([.commonName: ["shop"]])],
            deny: [try AccessRule([.commonName: ["Old"], .databaseUser: ["root"]])])
        guard case .refused(.denied) = policy.authorize(peer("root"), intermediates: [intermediate]),
            case .allowed = policy.authorize(peer("shop"), intermediates: [intermediate])
        else {
            Issue.record("not judged by the session")
            return
        }
    }

    @Test func `in a dry run lets pass what it would refuse, and says why`() throws {
        let rules = [try AccessRule([.commonName: ["shop"], .databaseUser: ["shop"]])]
        for (peer, objection) in [(peer(), nil), (peer("root"), Objection.user), (PeerAttributes(), .noRule)] {
            guard case .allowed(let passed) = AccessPolicy(allow: rules, mode: .dryRun).authorize(peer) else {
                Issue.record("refused in a dry run")
                continue
            }
            #expect(passed.tolerated == objection)
            #expect(passed.rule == (objection == nil ? "allow[0] {\(rules[0])}" : "dry-run"))
        }
    }
}

enum AccessPolicyPeers {
    static let shop: PeerAttributes = `An access policy`.shop
}
