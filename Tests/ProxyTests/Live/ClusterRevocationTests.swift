import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// `crl: [cluster]`: the lists come as values, from whoever fetches them.
    @Suite(.timeLimit(.minutes(4))) struct `A listener that uses the lists of its cluster` {
        private let backend: TestBackend
        private let authority: TestAuthority

        init() throws {
            backend = try TestBackend.echo()
            authority = try Stage.authority.get()
        }

        private func stage(
            _ rules: RevocationRules = RevocationRules(), files: [String] = [], publishes: Bool = true
        ) throws -> Stage {
            try Stage(
                [
                    try Stage.listener(.tcp, backend: [backend.address]) {
                        $0.policy = AccessPolicy(allow: [try AccessRule([.commonName: ["shop", "intern"]])])
                        $0.revocation = RevocationConfiguration(files: files, usesCluster: true, rules: rules)
                    }
                ], publishes: publishes)
        }

        /// Of intermediate and root, as the plane gives them.
        private func publish(
            _ stage: Stage, number: Int = 1, _ revoked: [TestIdentity] = [], ofRoot: [TestIdentity] = []
        ) throws {
            let own = try authority.revocationList { list in
                (list.number, list.revoked) = (number, revoked)
            }
            let above = try authority.revocationList(by: authority.root) { list in
                (list.number, list.revoked) = (number, ofRoot)
            }
            stage.proxy.publish(
                revocation: ClusterRevocation(
                    lists: try RevocationList.parse(own) + RevocationList.parse(above),
                    signers: [try authority.root.certificate(), try authority.intermediate.certificate()]))
        }

        private func session(_ stage: Stage, _ identity: TestIdentity) throws -> TestClient {
            let client = try TestClient(stage.port, as: identity, .direct)
            try client.send("hello")
            #expect(try client.receive(count: 5) == Array("hello".utf8))
            return client
        }

        private func codes(_ stage: Stage) -> [String] {
            stage.health.snapshot.reasons.map(\.code).filter { $0.hasPrefix("LISTENER_") }
        }

        @Test func `refuses everybody before there are any, and says what it waits for`() async throws {
            let stage = try stage()
            #expect(codes(stage) == ["LISTENER_WITHOUT_CRL"])
            let document = stage.health.snapshot.sections["proxy"]?.text ?? ""
            #expect(document.contains(#""state":"waiting-for-crl""#), "\(document)")
            #expect(throws: (any Error).self) { try session(stage, Stage.client.get()) }
            try publish(stage)
            _ = try session(stage, Stage.client.get())
            #expect(codes(stage) == [])
            let after = stage.health.snapshot.sections["proxy"]?.text ?? ""
            #expect(after.contains(#""state":"open""#) && after.contains(#""cluster":true"#), "\(after)")
            #expect(stage.metrics.openMetricsText.contains(#"nodeguard_crl_entries{listener="db""#))
            await stage.proxy.stop()
        }

        @Test func `waits for its certificate first`() async throws {
            let stage = try stage(publishes: false)
            #expect(codes(stage) == ["LISTENER_WITHOUT_CERTIFICATE"])
            try publish(stage)
            #expect(codes(stage) == ["LISTENER_WITHOUT_CERTIFICATE"])
            try stage.publish()
            #expect(codes(stage) == [])
            _ = try session(stage, Stage.client.get())
            await stage.proxy.stop()
        }

        @Test func `cuts who is revoked, and no other`() async throws {
            let stage = try stage()
            try publish(stage)
            let (shop, intern) = (try session(stage, Stage.client.get()), try session(stage, Stage.intern.get()))
            try publish(stage, number: 2, [try Stage.intern.get()])
            #expect((try? intern.receiveAll()) ?? [] == [])
            #expect(throws: (any Error).self) { try session(stage, Stage.intern.get()) }
            try shop.send("still")
            #expect(try shop.receive(count: 5) == Array("still".utf8))
            let isTold = await eventually(within: 20) {
                stage.events.named(.connectionClosed).first?.fields["reason"] == "revoked"
            }
            #expect(isTold)
            await stage.proxy.stop()
        }

        /// As `trust: [cluster]` has it: chains end at the intermediate, and the root trusts nobody here.
        @Test func `cuts all below an intermediate that the root has revoked`() async throws {
            let stage = try stage()
            let intermediate = try authority.intermediate.certificate()
            stage.proxy.publish(trust: try TrustAnchors([intermediate], pinsIntermediates: true))
            try publish(stage)
            let shop = try session(stage, Stage.client.get())
            try publish(stage, number: 2, ofRoot: [authority.intermediate])
            #expect((try? shop.receiveAll()) ?? [] == [])
            #expect(throws: (any Error).self) { try session(stage, Stage.client.get()) }
            #expect(await eventually(within: 20) { stage.refused(.revoked) == 1 })
            await stage.proxy.stop()
        }

        @Test func `ends every session with its list, though another has ended before`() async throws {
            let stage = try stage(RevocationRules(depth: .leaf))
            let ended = try authority.revocationList(by: authority.root) { $0.validity = -7200 ... -3600 }
            let own = try authority.revocationList { $0.validity = -3600...10 }
            stage.proxy.publish(
                revocation: ClusterRevocation(
                    lists: try RevocationList.parse(ended) + RevocationList.parse(own), signers: []))
            let shop = try session(stage, Stage.client.get())
            shop.socket.waitsForLong()
            #expect((try? shop.receiveAll()) ?? [] == [])
            #expect(throws: (any Error).self) { try session(stage, Stage.client.get()) }
            await stage.proxy.stop()
        }

        @Test func `takes lists of files beside them`() async throws {
            let folder = try temporaryDirectory()
            try folder.write(
                authority.revocationList { $0.revoked = [try? Stage.intern.get()].compactMap(\.self) }, to: "crl")
            let stage = try stage(RevocationRules(depth: .leaf), files: [folder.file("crl")])
            #expect(codes(stage) == ["LISTENER_WITHOUT_CRL"], "both are needed")
            try publish(stage, number: 0)
            _ = try session(stage, Stage.client.get())
            #expect(throws: (any Error).self) { try session(stage, Stage.intern.get()) }
            await stage.proxy.stop()
        }
    }
}
