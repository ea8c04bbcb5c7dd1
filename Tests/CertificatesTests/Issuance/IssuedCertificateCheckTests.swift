import OpenSSL
import TestSupport
import Testing

@testable import Certificates

@Suite struct `A certificate that was issued` {
    private static let authority = Result { try TestAuthority() }
    private static let foreign = Result { try TestAuthority(name: "Foreign") }
    private let wish = CertificateWish(
        commonName: "db-1", organization: "alpha", dnsNames: ["db-1.example"], addresses: [[127, 0, 0, 1]],
        uris: ["spiffe://alpha/db"], server: true, client: true)

    private func issue(
        name: String = "db-1", organization: String? = "alpha", dnsNames: [String] = ["db-1.example"],
        addresses: [String] = ["127.0.0.1"], uris: [String] = ["spiffe://alpha/db"], emails: [String] = [],
        usage: [TestCertificate.Usage] = [.server, .client], validity: ClosedRange<Double>? = nil,
        isAuthority: Bool = false, by authority: TestAuthority? = nil
    ) throws -> TestIdentity {
        try (authority ?? Self.authority.get()).issue(
            name: name, organization: organization, dnsNames: dnsNames, addresses: addresses, uris: uris,
            emails: emails, usage: usage, validity: validity, isAuthority: isAuthority)
    }

    private func judge(
        _ issued: TestIdentity, key: PrivateKey? = nil, with others: [Certificate] = []
    ) throws -> IssuedCertificateCheck.Verdict {
        let certificates = try Certificate.parsePEM(try issued.chainPEM)
        return IssuedCertificateCheck(
            wish, key: try key ?? PrivateKey(pemFile: issued.keyPath), trust: try Self.authority.get().trust(),
            now: TestClock.seconds
        ).judge(others + certificates.reversed())
    }

    private func reason(_ verdict: IssuedCertificateCheck.Verdict) -> String? {
        if case .refused(let reason) = verdict { reason } else { nil }
    }

    @Test func `is accepted when it is what was asked for, in whatever order it comes`() throws {
        let issued = try issue()
        let strange = try #require(try Certificate.parsePEM(try Self.foreign.get().root.certificatePEM).first)
        guard case .accepted(let identity) = try judge(issued, with: [strange]) else {
            Issue.record("refused")
            return
        }
        #expect(identity.chain.map(\.subject) == [try issued.certificate().subject, identity.leaf.issuer])
        try IdentityTest.run(identity, wish: wish, trust: try Self.authority.get().trust())
    }

    @Test func `is refused with another key`() throws {
        let key = try PrivateKey.generate(.ecP256)
        #expect(reason(try judge(try issue(), key: key))?.contains("key of our request") == true)
    }

    @Test func `is refused with a name more, a name less or another one`() throws {
        for (issued, word) in [
            (try issue(dnsNames: ["db-1.example", "postgres"]), "postgres was not asked for"),
            (try issue(dnsNames: []), "db-1.example is missing"),
            (try issue(dnsNames: ["DB-1.example"]), "DB-1.example was not asked for"),
            (try issue(name: "db-2"), "common name"), (try issue(organization: "beta"), "organization"),
            (try issue(addresses: ["127.0.0.1", "10.0.0.1"]), "addresses"), (try issue(addresses: []), "addresses"),
            (try issue(uris: ["spiffe://alpha/db", "spiffe://alpha/app"]), "spiffe://alpha/app was not asked for"),
            (try issue(emails: ["root@example"]), "e-mail"),
        ] {
            let said = reason(try judge(issued))
            #expect(said?.contains(word) == true, "\(said ?? "accepted") instead of \(word)")
        }
    }

    @Test func `is refused when it is an authority, or for another use`() throws {
        #expect(reason(try judge(try issue(isAuthority: true)))?.contains("CA:TRUE") == true)
        #expect(reason(try judge(try issue(usage: [.server])))?.contains("client authentication") == true)
        #expect(reason(try judge(try issue(usage: [.client])))?.contains("server authentication") == true)
        #expect(reason(try judge(try issue(usage: [.server, .client, .any])))?.contains("2.5.29.37.0") == true)
    }

    @Test func `is refused from a foreign authority, expired, or valid for longer than anybody lives`() throws {
        #expect(reason(try judge(try issue(by: try Self.foreign.get())))?.contains("not trusted") == true)
        #expect(reason(try judge(try issue(validity: -100 ... -1)))?.contains("expired") == true)
        #expect(reason(try judge(try issue(validity: -100...2)))?.contains("about to") == true)
        #expect(reason(try judge(try issue(validity: -100...900_000_000)))?.contains("20 years") == true)
    }

    @Test func `of a clock ahead of ours is good, only not yet`() throws {
        guard case .notYetValid(let seconds) = try judge(try issue(validity: 100...5000)) else {
            Issue.record("not waited for")
            return
        }
        #expect((90...101).contains(seconds))
    }
}

@Suite struct `The authorities of a plane` {
    @Test func `are taken by the pin of their key alone`() throws {
        let authority = try TestAuthority()
        let root = try authority.root.certificate()
        let intermediate = try authority.intermediate.certificate()
        let pin = PlaneTrust.pin(of: root)
        #expect(PlaneTrust.pinnedRoots(among: [intermediate, root], pins: [pin]) == [root])
        #expect(PlaneTrust.pinnedRoots(among: [root], pins: [pin.uppercased(), "sha256:00"]) == [root])
        #expect(PlaneTrust.pinnedRoots(among: [intermediate], pins: [PlaneTrust.pin(of: intermediate)]) == [])
        #expect(PlaneTrust.pinnedRoots(among: [root], pins: []) == [])
    }

    @Test func `grow by pinned roots and by what a verified chain went through, and by nothing else`() throws {
        let ours = try TestAuthority()
        let other = try TestAuthority(name: "Other")
        let (root, intermediate) = (try ours.root.certificate(), try ours.intermediate.certificate())
        let (strange, leaf) = (try other.root.certificate(), try ours.client().certificate())
        let now = TestClock.seconds
        let chain = [leaf, intermediate]
        let grown = PlaneTrust.extended([root], verifiedChain: chain, now: now)
        #expect(grown == [root, intermediate])
        #expect(PlaneTrust.extended(grown, now: now) == grown, "nothing in use is taken away")
        #expect(PlaneTrust.extended(grown, roots: [strange], now: now) == [root, strange, intermediate])
        #expect(PlaneTrust.extended(grown, now: intermediate.notAfter) == [root], "but what has expired")
        #expect(PlaneTrust.hints(among: [root, intermediate, leaf, strange]) == [intermediate])
    }
}
