import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `The trimmed library` {
    private static let kinds: [TestCertificate.Key] = [.ecP256, .ecP384, .rsa2048, .ed25519]

    @Test func `is usable with this machine's OpenSSL`() {
        #expect(AlgorithmSelection.isTrimmedUsable)
        #expect(AlgorithmSelection.trimmed.library != nil)
        #expect(AlgorithmSelection.all.library == nil)
    }

    @Test(arguments: kinds, TLSVersion.allCases)
    func `serves and reads every kind of key, in each version`(_ key: TestCertificate.Key, _ version: TLSVersion) throws
    {
        let authority = try Scenery.authority
        let identity = try authority.issue(
            name: "localhost", dnsNames: ["localhost"], usage: [.server, .client], key: key
        ).tlsIdentity()
        let context = try TLSContext.server(
            identity: identity, trust: Scenery.trust, minimum: version, algorithms: .trimmed)
        try TLSContext.selfTest(context, trust: Scenery.trust, serverName: "localhost")
        for clientKey in Self.kinds {
            let client = try authority.issue(name: "alice", key: clientKey).tlsIdentity()
            let pair = TLSPair(
                context,
                try TLSContext.client(
                    identity: client, trust: Scenery.trust, serverName: "localhost", minimum: version, maximum: version)
            )
            #expect(pair.shakeHands() == (.finished, .finished), "\(key) and \(clientKey)")
            #expect(pair.server.peerCertificate == client.leaf)
            #expect(pair.server.peerChain.count == 3)
        }
    }

    @Test func `refuses what the whole library refuses, in the same words`() throws {
        let authority = try Scenery.authority
        let clients = [
            try TestAuthority(name: "Foreign").client(), try authority.issue(name: "old", validity: -3600 ... -60),
            try authority.issue(name: "new", validity: 600...3600),
            try authority.issue(name: "server", usage: [.server]),
            try authority.issue(name: "none", usage: []),
            try authority.issue(name: "authority", isAuthority: true), nil,
        ]
        for client in clients {
            let failures = try AlgorithmSelection.allCases.map { algorithms -> TLSFailure? in
                let context = try TLSContext.server(
                    identity: Scenery.server.tlsIdentity(), trust: Scenery.trust, algorithms: algorithms)
                let identity = try client?.tlsIdentity()
                let pair = TLSPair(
                    context, try TLSContext.client(identity: identity, trust: nil, serverName: nil))
                guard case .failed(let failure) = pair.shakeHands().server else { return nil }
                return failure
            }
            #expect(failures[0] != nil && failures[0] == failures[1], "\(failures)")
        }
    }
}
