import Glibc
import OpenSSL
import TestSupport
import Testing

@Suite struct `Trust anchors` {
    private let now = Int64(time(nil))

    private func verdict(
        _ anchors: TrustAnchors, _ identity: TestIdentity, _ purpose: CertificatePurpose, at seconds: Int64
    ) throws -> TrustAnchors.Verdict {
        let chain = try Certificate.parsePEM(try identity.chainPEM)
        return anchors.verify(
            leaf: chain[0], intermediates: Array(chain.dropFirst()), purpose: purpose, at: seconds)
    }

    private func reason(_ verdict: TrustAnchors.Verdict) -> String? {
        guard case .refused(let reason) = verdict else { return nil }
        return reason
    }

    @Test func `trust what a handshake would trust, at any time`() throws {
        let trust = try Scenery.trust
        let client = try Scenery.client
        guard case .trusted(let chain) = try verdict(trust, client, .client, at: now) else {
            Issue.record("a good certificate is refused")
            return
        }
        #expect(chain.count == 3)
        #expect(chain.first == (try client.certificate()))
        #expect(chain.last == trust.certificates.first)
        #expect(try reason(verdict(trust, client, .server, at: now)) != nil)
        #expect(try reason(verdict(trust, client, .client, at: now + 100_000))?.contains("expired") == true)
        #expect(try reason(verdict(trust, client, .client, at: now - 100_000))?.contains("not yet valid") == true)
        let bare = try Scenery.authority.issue(name: "a", usage: [])
        #expect(try reason(verdict(trust, bare, .client, at: now))?.contains("extended key usage") == true)
        let foreign = try TestAuthority().client()
        #expect(try reason(verdict(trust, foreign, .client, at: now))?.contains("issuer") == true)
    }

    @Test func `refuse weak keys`() throws {
        let weak = try Scenery.authority.issue(name: "weak", key: .rsa1024)
        #expect(try reason(verdict(Scenery.trust, weak, .client, at: now))?.contains("too weak") == true)
    }

    @Test func `are authorities, and a root is among them`() throws {
        let authority = try Scenery.authority
        #expect(throws: OpenSSLError.self) { try TrustAnchors([]) }
        #expect(throws: OpenSSLError.self) { try TrustAnchors([try Scenery.client.certificate()]) }
        #expect(throws: OpenSSLError.self) { try TrustAnchors([try authority.intermediate.certificate()]) }
        let selfSigned = try authority.issue(name: "lone", by: .itself)
        #expect(throws: OpenSSLError.self) { try TrustAnchors([try selfSigned.certificate()]) }
    }

    @Test func `end at an intermediate only when it is pinned`() throws {
        let authority = try Scenery.authority
        let pinned = try TrustAnchors([try authority.intermediate.certificate()], pinsIntermediates: true)
        guard case .trusted(let chain) = try verdict(pinned, try Scenery.client, .client, at: now) else {
            Issue.record("a pinned intermediate is not trusted")
            return
        }
        #expect(chain.count == 2)
        let other = try authority.issue(name: "other", usage: [], isAuthority: true, by: .root)
        let stranger = try authority.issue(name: "a", by: .identity(other))
        #expect(try reason(verdict(pinned, stranger, .client, at: now)) != nil)
    }

    @Test func `build a chain with the intermediates in their set`() throws {
        let authority = try Scenery.authority
        let both = try TrustAnchors([try authority.root.certificate(), try authority.intermediate.certificate()])
        let leaf = try Scenery.client.certificate()
        guard case .trusted(let chain) = both.verify(leaf: leaf, intermediates: [], purpose: .client, at: now) else {
            Issue.record("the chain is not built")
            return
        }
        #expect(chain.count == 3)
    }

    /// As `openssl req -x509` and other small tools make them.
    @Test(arguments: [
        ["keyUsage": nil], ["basicConstraints": "CA:TRUE"], ["keyUsage": nil, "basicConstraints": "CA:TRUE"],
    ])
    func `are taken for their name and key, whatever RFC 5280 wants of an authority's extensions`(
        extensions: [String: String?]
    ) throws {
        let root = try Scenery.authority.issue(
            name: "plain", usage: [], isAuthority: true, extensions: extensions, by: .itself)
        let trust = try TrustAnchors([try root.certificate()])
        #expect(try root.certificate().flawAsAnchor(for: .client) == nil)
        let client = try Scenery.authority.issue(name: "a", by: .identity(root))
        guard case .trusted = try verdict(trust, client, .client, at: now) else {
            Issue.record("\(try verdict(trust, client, .client, at: now))")
            return
        }
        let good = try Scenery.authority.issue(name: "good", usage: [], isAuthority: true, by: .identity(root))
        let below = try Scenery.authority.issue(name: "a", by: .identity(good))
        guard case .trusted(let chain) = try verdict(trust, below, .client, at: now) else {
            Issue.record("\(try verdict(trust, below, .client, at: now))")
            return
        }
        #expect(chain.count == 3)
        // What stands below the anchor is held to the rules.
        let plain = try Scenery.authority.issue(
            name: "plain", usage: [], isAuthority: true, extensions: extensions, by: .identity(root))
        let refused = try Scenery.authority.issue(name: "a", by: .identity(plain))
        #expect(try reason(verdict(trust, refused, .client, at: now))?.contains("depth 1") == true)
        let foreign = try TestAuthority().client()
        #expect(try reason(verdict(trust, foreign, .client, at: now))?.contains("issuer") == true)
        let old = try Scenery.authority.issue(name: "a", validity: -100 ... -10, by: .identity(root))
        #expect(try reason(verdict(trust, old, .client, at: now))?.contains("expired") == true)
    }

    @Test func `that could never verify a peer say why`() throws {
        func flaw(
            _ purpose: CertificatePurpose, key: TestCertificate.Key = .ecP256, isAuthority: Bool = true,
            _ extensions: [String: String?] = [:]
        ) throws -> String? {
            try Scenery.authority.issue(
                name: "flawed", usage: [], isAuthority: isAuthority, key: key, extensions: extensions, by: .itself
            ).certificate().flawAsAnchor(for: purpose)
        }
        #expect(try flaw(.client, isAuthority: false)?.contains("CA:TRUE") == true)
        #expect(try flaw(.client, ["keyUsage": "critical,cRLSign"])?.contains("keyCertSign") == true)
        #expect(try flaw(.client, key: .rsa1024)?.contains("too weak") == true)
        let unknown = ["1.3.6.1.4.1.99999.1": "critical,ASN1:NULL"] as [String: String?]
        #expect(try flaw(.client, unknown)?.contains("critical extension") == true)
        let serverOnly = ["extendedKeyUsage": "serverAuth"] as [String: String?]
        #expect(try flaw(.client, serverOnly)?.contains("certify clients") == true)
        #expect(try flaw(.server, serverOnly) == nil)
        #expect(try flaw(.client) == nil)
    }
}
