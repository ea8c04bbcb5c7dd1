import Glibc
import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `The memory of verified chains` {
    private func key(_ chain: [Certificate]) throws -> VerifiedChains.Key {
        try #require(VerifiedChains.key(chain.map(\.pointer)))
    }

    private func shakeHands(_ context: TLSContext, _ client: TestIdentity) throws -> TLSPair {
        let pair = TLSPair(
            context, try TLSContext.client(identity: client.tlsIdentity(), trust: nil, serverName: nil))
        pair.shakeHands()
        return pair
    }

    @Test func `spares a client that comes again its verification, and gives the same chain`() throws {
        let context = try Scenery.serverContext()
        let client = try Scenery.client
        let first = try shakeHands(context, client).server
        #expect(context.verifiedChains.count == 1)
        let second = try shakeHands(context, client).server
        #expect(context.verifiedChains.count == 1)
        #expect(first.isHandshakeFinished && second.isHandshakeFinished)
        #expect(first.peerChain.count == 3)
        #expect(zip(first.peerChain, second.peerChain).allSatisfy { $0 === $1 })
        _ = try shakeHands(context, Scenery.authority.client(name: "bob"))
        #expect(context.verifiedChains.count == 2)
    }

    @Test func `holds nothing of a client that was refused`() throws {
        let context = try Scenery.serverContext()
        let authority = try Scenery.authority
        let refused = [
            try TestAuthority(name: "Foreign").client(), try authority.issue(name: "old", validity: -3600 ... -60),
            try authority.issue(name: "server", usage: [.server]), try authority.issue(name: "any", usage: []),
        ]
        for client in refused {
            for _ in 0..<2 {
                guard case .failed = try shakeHands(context, client).server.handshake() else {
                    Issue.record("accepted: \(client.certificatePath)")
                    continue
                }
            }
        }
        #expect(context.verifiedChains.count == 0)
    }

    @Test func `does not know a certificate whose signature has changed, or that comes with other intermediates`()
        throws
    {
        let chain = try Scenery.client.tlsIdentity().chain
        var forged = chain[0].der
        forged[forged.count - 1] ^= 1
        let other = try TestAuthority(name: "Other").intermediate.certificate()
        let keys = Set([
            try key(chain), try key([try Certificate(der: forged)] + chain.dropFirst()), try key([chain[0]]),
            try key(chain + [other]), try key(chain.reversed()),
        ])
        #expect(keys.count == 5)
    }

    @Test func `lets a verdict count only while every certificate is valid`() throws {
        let chains = VerifiedChains()
        let chain = try Scenery.client.tlsIdentity().chain
        let begin = try #require(chain.map(\.notBefore).max())
        let end = try #require(chain.map(\.notAfter).min())
        chains.remember(chain, [1])
        #expect(chains.chain([1], at: begin) != nil && chains.chain([1], at: end) != nil)
        #expect(chains.chain([1], at: end + 1) == nil)
        #expect(chains.chain([1], at: end) == nil, "what has expired once does not come back")
    }

    @Test func `never grows beyond its limit, and keeps what is asked for`() throws {
        let chains = VerifiedChains()
        let chain = try Scenery.client.tlsIdentity().chain
        let now = Int64(time(nil))
        for number in 0..<4 * VerifiedChains.limit {
            chains.remember(chain, [UInt8(number & 0xFF), UInt8(number >> 8)])
            #expect(number == 0 || chains.chain([0, 0], at: now) != nil)
        }
        #expect(chains.count <= VerifiedChains.limit)
    }
}
