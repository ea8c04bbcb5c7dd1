import OpenSSL
import TestSupport
import Testing

@testable import Proxy

/// Apart from the epoch, which changes with all of it and more.
@Suite struct `What a session is marked with` {
    private struct Ground {
        var listener = "db"
        var generation: UInt64 = 1
        var policy = AccessPolicy()
        var anchors: [Certificate] = []
        var lists: [RevocationList]?
        var rules = RevocationRules()
        var server: TLSIdentity?

        func mark() throws -> SessionMark {
            let revocation = lists.map { Revocation($0, rules) }
            let trust = try TrustAnchors(anchors, revocation: revocation)
            let server = try server.map { try TLSContext.server(identity: $0, trust: trust) }
            return SessionMark(
                of: listener, ListenerContexts(server: server, anchors: trust, backend: nil),
                Standing(generation: generation, trust: trust, policy: policy))
        }
    }

    private static func list(_ number: Int) throws -> RevocationList {
        let pem = try Stage.authority.get().revocationList { $0.number = number }
        return try RevocationList.parse(pem)[0]
    }

    private static func identity(_ made: TestIdentity) throws -> TLSIdentity {
        try TLSIdentity(chainFile: try made.chainPEM, keyFile: made.keyPath)
    }

    @Test func `is another with everything that lets a client in, and the same without a change`() throws {
        let rule = try AccessRule([.commonName: ["shop"]])
        var ground = Ground()
        ground.anchors = [try Stage.authority.get().root.certificate()]
        ground.server = try Self.identity(try Stage.server.get())
        ground.lists = [try Self.list(1)]
        let (other, foreign) = (try Stage.authority.get().server(), try Stage.foreign.get().root.certificate())
        let second = try Self.list(2)
        let changes: [(inout Ground) throws -> Void] = [
            { _ in }, { $0.listener = "db2" }, { $0.generation = 2 }, { $0.anchors.append(foreign) },
            { $0.anchors = [foreign] }, { $0.lists = [second] }, { $0.lists = [] }, { $0.lists = nil },
            { $0.rules.depth = .leaf }, { $0.rules.freshness = .lastKnown },
            { $0.rules.freshness = .grace(seconds: 5) }, { $0.policy = AccessPolicy(allow: [rule]) },
            { $0.policy = AccessPolicy(deny: [rule]) }, { $0.policy = AccessPolicy(allow: [rule, rule]) },
            { $0.policy = AccessPolicy(mode: .dryRun) }, { $0.server = try Self.identity(other) },
        ]
        var contexts: Set<[UInt8]> = []
        for (index, change) in changes.enumerated() {
            var changed = ground
            try change(&changed)
            let mark = try changed.mark()
            #expect(try mark == changed.mark())
            #expect(mark.context.count == 32 && mark.epoch == changed.generation)
            #expect(contexts.insert(mark.context).inserted, "change \(index)")
        }
    }
}
