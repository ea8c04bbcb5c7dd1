import Foundation
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The command explain` {
    private static let authority = Result { try TestAuthority() }
    private static let shop = Result {
        try authority.get().issue(name: "shop", organization: "Example", uris: ["spiffe://c/app/shop"])
    }
    private static let stranger = Result { try TestAuthority(name: "Foreign").client(name: "shop") }

    private static func fixture(
        _ rules: String, protocol spoken: String = "postgres", more: String = "", trust: String? = nil
    ) throws -> ProgramFixture {
        try ProgramFixture(
            """
            certificates: { roles: [ { name: own, files: { chain: /a, key: /b } } ] }
            proxy:
              listeners:
                - name: ysql
                  listen: 127.0.0.1:0
                  protocol: \(spoken)
                  backend: 127.0.0.1:1
                  certificate: own
                  trust: ["file:\(try trust ?? authority.get().trustPath)"]
                  \(rules)
                  \(more)
            """)
    }

    private static func explain(
        _ fixture: ProgramFixture, _ identity: TestIdentity, _ more: String...
    ) async throws -> Subprocess.Result {
        try await fixture.run(["explain", "--listener", "ysql", "--certificate", identity.chainPath] + more)
    }

    private static let allow = """
        allow: [ { common-name: other }, { any: [ { dns: a }, { email: b } ], organization: Example }, \
        { uri: "spiffe://c/app/*", database-user: [shop], database: [shop, orders] }, \
        { common-name: shop, replication: only } ]
        """
    private static let deny = "deny: [ { common-name: bad } ]"

    @Test func `names of each rule the first key that fails, with what the certificate has`() async throws {
        let fixture = try Self.fixture(Self.allow, more: Self.deny)
        let allowed = try await Self.explain(fixture, try Self.shop.get(), "--user", "shop")
        #expect(allowed.status == 0, "\(allowed)")
        let lines = allowed.output.split(separator: "\n").map { $0.trimmingPrefix(while: \.isWhitespace) }
        #expect(lines.first?.hasPrefix("ysql: allowed by allow[2] {database: [shop, orders], ") == true, "\(allowed)")
        for expected in [
            "name     URI spiffe://c/app/shop", "trust    verified under ",
            "deny[0] {common-name: bad}", "no: common-name is \"shop\"",
            "no: none of 'any': (there is no dns), (there is no email)",
            "matches, and decides", "no: it is for replication only",
        ] { #expect(lines.contains { $0.hasPrefix(expected) }, "\(expected)\n\(allowed)") }
        let user = try await Self.explain(fixture, try Self.shop.get(), "--user", "root")
        #expect(user.status == 4 && user.output.contains("may not have this database user"), "\(user)")
        #expect(user.output.contains("no: database-user is \"root\""))
        let database = try await Self.explain(fixture, try Self.shop.get(), "--user", "shop", "--database", "x")
        #expect(database.status == 4 && database.output.contains("may not use this database"), "\(database)")
        let physical = try await Self.explain(fixture, try Self.shop.get(), "--user", "shop", "--replication")
        #expect(physical.status == 0 && physical.output.contains("allowed by allow[3]"), "\(physical)")
    }

    @Test func `says it in JSON too`() async throws {
        let fixture = try Self.fixture(Self.allow, more: Self.deny)
        let answer = try await Self.explain(fixture, try Self.shop.get(), "--user", "root", "--json")
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any])
        #expect(document["let_in"] as? Bool == false && document["allowed"] as? Bool == false)
        #expect((document["trust"] as? [String: Any])?["result"] as? String == "trusted")
        let rules = try #require(document["rules"] as? [[String: Any]])
        #expect(rules.map { $0["rule"] as? String } == ["deny[0]", "allow[0]", "allow[1]", "allow[2]", "allow[3]"])
        #expect(rules.allSatisfy { $0["matches"] as? Bool == false && $0["decides"] as? Bool == false })
        #expect(rules[3]["mismatch"] as? String == "database-user is \"root\"")
    }

    @Test func `says how the verification of the certificate ends`() async throws {
        let fixture = try Self.fixture("allow: [ { common-name: shop } ]", protocol: "tcp")
        let stranger = try await Self.explain(fixture, try Self.stranger.get())
        #expect(stranger.status == 4 && stranger.output.contains("ysql: refused: the certificate is not trusted"))
        #expect(stranger.output.contains("trust    refused: unable to get local issuer certificate"), "\(stranger)")
        #expect(stranger.output.contains("matches, and would decide"), "no rule is asked: \(stranger)")
        let unknown = try await Self.explain(
            try Self.fixture("allow: [ { common-name: shop } ]", trust: "/nonexistent"), try Self.shop.get())
        #expect(unknown.status == 0 && unknown.output.contains("trust    unknown: "), "\(unknown)")
    }

    @Test func `knows the map of users and the dry run`() async throws {
        let map = try temporaryDirectory()
        let path = try map.write("common-name:shop app\n", to: "users")
        let fixture = try Self.fixture("allow: [ { common-name: shop } ]", more: "database-user-map: \(path)")
        #expect(try await Self.explain(fixture, try Self.shop.get(), "--user", "app").status == 0)
        let unmapped = try await Self.explain(fixture, try Self.shop.get(), "--user", "root")
        #expect(
            unmapped.status == 4 && unmapped.output.contains("'database-user-map' has no line for it"), "\(unmapped)")
        let dry = try await Self.explain(
            try Self.fixture("mode: dry-run"), try Self.shop.get(), "--user", "root")
        #expect(dry.status == 0 && dry.output.contains("let through, for the mode is dry-run; else refused"), "\(dry)")
    }
}
