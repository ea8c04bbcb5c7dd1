import OpenSSL
import TestSupport
import Testing

@Suite struct `The self-test of a new context` {
    private func context(_ identity: TLSIdentity, minimum: TLSVersion = .tls12) throws -> TLSContext {
        try TLSContext.server(identity: identity, trust: Scenery.trust, minimum: minimum)
    }

    @Test func `passes a good certificate`() throws {
        for minimum in TLSVersion.allCases {
            let context = try context(try Scenery.server.tlsIdentity(), minimum: minimum)
            try TLSContext.selfTest(context, trust: Scenery.trust, serverName: "localhost")
            try TLSContext.selfTest(context, trust: Scenery.trust, serverName: "127.0.0.1")
            try TLSContext.selfTest(context, trust: Scenery.trust)
        }
    }

    @Test func `finds an expired, a misnamed, a foreign and an incomplete one, and says why`() throws {
        let authority = try Scenery.authority
        let expired = try authority.issue(
            name: "localhost", dnsNames: ["localhost"], usage: [.server], validity: -3600 ... -60)
        let clientOnly = try authority.issue(name: "localhost", dnsNames: ["localhost"], usage: [.client])
        let misnamed = try authority.server(name: "elsewhere")
        let foreign = try TestAuthority(name: "Foreign").server()
        let whole = try Scenery.server
        let incomplete = try TLSIdentity(
            chain: [try whole.certificate()], key: try PrivateKey(pemFile: whole.keyPath))
        let identities = try [expired, clientOnly, misnamed, foreign].map { try $0.tlsIdentity() } + [incomplete]
        let words = ["expired", "purpose", "hostname mismatch", "issuer", "issuer"]
        for (identity, word) in zip(identities, words) {
            let error = #expect(throws: OpenSSLError.self) {
                try TLSContext.selfTest(try context(identity), trust: Scenery.trust, serverName: "localhost")
            }
            #expect(error?.description.contains(word) == true, "\(String(describing: error))")
        }
    }

    @Test func `does not open the context to clients without a certificate`() throws {
        let context = try context(try Scenery.server.tlsIdentity())
        try TLSContext.selfTest(context, trust: Scenery.trust)
        let client = try TLSContext.client(identity: nil, trust: Scenery.trust, serverName: nil)
        guard case .failed(let failure) = TLSPair(context, client).shakeHands().server else {
            Issue.record("accepted")
            return
        }
        #expect(failure.kind == .noCertificate)
    }
}
