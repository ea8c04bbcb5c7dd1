import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import Proxy

@Suite struct `The standing of a peer` {
    private static let rule = Result { try AccessRule([.commonName: ["shop"]]) }

    private struct Peer {
        let chain: [Certificate]
        let peer: PeerAttributes

        init(_ identity: TestIdentity) throws {
            chain =
                try Certificate.parsePEM(identity.chainPEM)
                + Certificate.parsePEM(Stage.authority.get().root.certificatePEM)
            let policy = AccessPolicy(allow: [try rule.get()])
            let verdict = policy.authorize(PeerAttributes(try #require(chain.first)))
            guard case .allowed(let peer) = verdict else { throw TestSupportError("not allowed") }
            self.peer = peer.attributes
        }
    }

    private func standing(_ authority: TestAuthority, deny: [AccessRule] = []) throws -> Standing {
        Standing(
            generation: 1, trust: try TrustAnchors(pem: authority.root.certificatePEM),
            policy: AccessPolicy(allow: [try Self.rule.get()], deny: deny))
    }

    private var now: Int64 { Int64(Date.now.timeIntervalSince1970) }

    @Test func `holds while the chain is trusted, in time and allowed`() throws {
        let peer = try Peer(try Stage.client.get())
        #expect(try standing(Stage.authority.get()).objection(to: peer.peer, peer.chain, at: now) == nil)
    }

    @Test func `ends with the trust, the time or the rule`() throws {
        let peer = try Peer(try Stage.client.get())
        let usual = try standing(Stage.authority.get())
        #expect(try standing(Stage.foreign.get()).objection(to: peer.peer, peer.chain, at: now) == .untrusted)
        let end = Standing.expiry(of: peer.chain)
        #expect(end == peer.chain.first?.notAfter)
        #expect(usual.objection(to: peer.peer, peer.chain, at: end - 1) == nil)
        #expect(usual.objection(to: peer.peer, peer.chain, at: end) == .certificateExpired)
        #expect(usual.objection(to: peer.peer, [], at: now) == .untrusted)
        let denied = try AccessRule([.spki: ["sha256:" + hexadecimal(try #require(peer.chain.first).publicKeySHA256)]])
        #expect(
            try standing(Stage.authority.get(), deny: [denied]).objection(to: peer.peer, peer.chain, at: now)
                == .notAllowed)
        let authority = try AccessRule([.spki: ["sha256:" + hexadecimal(peer.chain[1].publicKeySHA256)]])
        #expect(
            try standing(Stage.authority.get(), deny: [authority]).objection(to: peer.peer, peer.chain, at: now)
                == .notAllowed)
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
