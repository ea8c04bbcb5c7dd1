import Testing

@testable import Proxy

@Suite struct `What narrows a policy` {
    private let shop = `An access policy`.shop

    private func rule(_ key: AccessRule.Key, _ value: String) throws -> AccessRule { try AccessRule([key: [value]]) }

    private func objection(_ policy: AccessPolicy) -> Objection? {
        switch policy.authorize(shop) {
        case .allowed(let peer): peer.tolerated
        case .refused(let objection): objection
        }
    }

    private func own(_ mode: AccessPolicy.Mode = .enforce) throws -> AccessPolicy {
        AccessPolicy(allow: [try rule(.commonName, "shop")], mode: mode)
    }

    @Test func `asks each of its lists for a rule that allows, too`() throws {
        let (fits, other) = (try rule(.dns, "shop.example"), try rule(.dns, "desk.example"))
        let cases: [([[AccessRule]], Objection?)] = [
            ([], nil), ([[fits]], nil), ([[other, fits]], nil), ([[fits], [fits, other]], nil), ([[]], .narrowed),
            ([[other]], .narrowed), ([[fits], [other]], .narrowed), ([[fits], []], .narrowed),
        ]
        for (lists, expected) in cases {
            #expect(objection(try own().narrowed(by: PolicyNarrowing(allow: lists))) == expected, "\(lists)")
        }
    }

    @Test func `never allows whom the listener's own rules do not`() throws {
        let all = PolicyNarrowing(allow: [[try rule(.commonName, "shop")]])
        #expect(objection(AccessPolicy().narrowed(by: all)) == .noRule)
        let denied = AccessPolicy(allow: [try rule(.commonName, "shop")], deny: [try rule(.dns, "shop.example")])
        #expect(objection(denied.narrowed(by: all))?.rule == "deny[0] {dns: shop.example}")
    }

    @Test func `denies beside the listener's own rules, intermediates too, and says whose rule it is`() throws {
        let narrowing = PolicyNarrowing(deny: [try rule(.dns, "desk"), try rule(.dns, "shop.example")])
        #expect(objection(try own().narrowed(by: narrowing))?.rule == "desired deny[1] {dns: shop.example}")
        var above = PeerAttributes()
        above.dnsNames = ["desk"]
        guard
            case .refused(.denied(let rule)) = try own().narrowed(by: narrowing)
                .authorize(
                    {
                        var peer = shop; peer.dnsNames = []; return peer
                    }(), intermediates: [above])
        else { return #expect(Bool(false), "the intermediate is not looked at") }
        #expect(rule == "desired deny[0] {dns: desk}")
    }

    @Test func `is tolerated in a dry run, unless nobody may pass at all`() throws {
        let dry = try own(.dryRun)
        guard case .allowed(let peer) = dry.narrowed(by: PolicyNarrowing(allow: [[]])).authorize(shop) else {
            return #expect(Bool(false), "a dry run refuses")
        }
        #expect(peer.tolerated == .narrowed)
        for policy in [dry, try own(), AccessPolicy()] {
            guard case .refused = policy.narrowed(by: .closed).authorize(shop) else {
                return #expect(Bool(false), "somebody passes")
            }
        }
    }

    @Test func `takes the place of what narrowed before, and asks for a session if a rule does`() throws {
        let one = try own().narrowed(by: PolicyNarrowing(allow: [[]]))
        #expect(one.narrowed(by: PolicyNarrowing()) == (try own()))
        #expect(!one.namesSession)
        #expect(one.narrowed(by: PolicyNarrowing(deny: [try rule(.databaseUser, "x")])).namesSession)
        #expect(one.narrowed(by: PolicyNarrowing(allow: [[try rule(.database, "x")]])).namesSession)
    }
}
