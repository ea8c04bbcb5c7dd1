import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// What a listener says of itself to whoever changes authorities under it.
    @Suite(.timeLimit(.minutes(10))) struct `A listener that is observed` {
        private func observation(_ stage: Stage) throws -> ListenerObservation {
            try #require(stage.proxy.observations.first { $0.name == "db" })
        }

        @Test func `shows whom it trusts, what it shows, and who certifies its clients`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            #expect(try observation(stage).issuers.isEmpty)
            for _ in 0..<2 {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send("x")
                _ = try client.receive(count: 1)
            }
            let found = try observation(stage)
            let authority = try Stage.authority.get()
            #expect(found.anchors == [try authority.root.certificate()] && !found.isTunnel)
            #expect(found.served == (try Stage.server.get().certificate()) && found.roles == ["database"])
            #expect(found.issuers == [try authority.intermediate.certificate().publicKeySHA256: 2])
            await stage.proxy.stop()
        }

        @Test func `counts alerts of clients that do not know who certified it, and clients of unknown issuers`()
            async throws
        {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            try stage.publish(try Stage.foreign.get().server())
            #expect(throws: TLSFailure.self) { try TestClient(stage.port, as: try Stage.client.get(), .direct) }
            #expect(await eventually(within: 20) { (try? observation(stage).unknownCA) == 1 })
            #expect(try observation(stage).unknownIssuers == 0)
            try stage.publish()
            let stranger = try? TestClient(stage.port, as: try Stage.stranger.get(), .direct)
            _ = try? stranger?.receiveAll()
            #expect(await eventually(within: 20) { (try? observation(stage).unknownIssuers) == 1 })
            #expect(try observation(stage).unknownCA == 1)
            #expect(
                stage.metrics.openMetricsText.contains(#"alerts_received_total{listener="db",alert="unknown-ca"} 1"#))
            await stage.proxy.stop()
        }

        @Test func `counts a client that was let in and then refuses, once until it is let in again`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            func refuse() async throws {
                let before = try observation(stage).unknownCA
                try stage.publish(try Stage.foreign.get().server())
                #expect(throws: TLSFailure.self) { try TestClient(stage.port, as: try Stage.client.get(), .direct) }
                #expect(await eventually(within: 20) { (try? observation(stage).unknownCA) == before + 1 })
                try stage.publish()
            }
            try await refuse()
            #expect(try observation(stage).refusingClients == 0)
            for round in 1...2 as ClosedRange<UInt64> {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send("x")
                _ = try client.receive(count: 1)
                for _ in 0..<2 { try await refuse() }
                #expect(try observation(stage).refusingClients == round)
            }
            await stage.proxy.stop()
        }

        @Test func `forgets the client that came first when there are too many`() throws {
            let clients = RefusingClients()
            let all = try (0...RefusingClients.limit).map { try #require(PeerNetwork("10.0.\($0 / 256).\($0 % 256)")) }
            for client in all { clients.letIn(client) }
            for client in all { clients.refused(client) }
            #expect(clients.count == UInt64(RefusingClients.limit))
            clients.refused(all[0])
            clients.letIn(all[0])
            clients.refused(all[0])
            #expect(clients.count == UInt64(RefusingClients.limit) + 1)
        }

        @Test func `has no more issuers than fit`() throws {
            let counts = IssuerCounts()
            let authority = try Stage.authority.get()
            let chain = [try authority.root.certificate(), try authority.intermediate.certificate()]
            counts.verified(chain)
            counts.verified(Array(chain.prefix(1)))
            #expect(counts.values == [chain[1].publicKeySHA256: 1])
        }

        @Test func `takes a narrowing and a deny list in one step, and a reload of its rules keeps them`() async throws
        {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let held = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try held.send("x")
            _ = try held.receive(count: 1)
            var change = ProxyChange()
            change.denied = try DenyList(text: Array("uri spiffe://c/app/shop\n".utf8), path: "deny")
            change.narrowings = ["db": PolicyNarrowing(allow: [[]])]
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            // In a protocol without goodbyes the missing end of TLS says that it was cut.
            #expect(throws: (any Error).self) { try held.receiveAll() }
            let refused = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            #expect(try refused.receiveAll().isEmpty)
            #expect(await eventually(within: 20) { stage.refused(.denied) == 1 })
            var reload = ProxyChange()
            reload.policies = ["db": AccessPolicy(allow: [try AccessRule([.commonName: ["shop", "intern"]])])]
            reload.denied = DenyList()
            #expect(stage.proxy.adopt(try stage.proxy.test(reload)))
            #expect(try TestClient(stage.port, as: try Stage.client.get(), .direct).receiveAll().isEmpty)
            #expect(await eventually(within: 20) { stage.refused(.notDesired) == 1 })
            var open = ProxyChange()
            open.narrowings = [:]
            #expect(stage.proxy.adopt(try stage.proxy.test(open)))
            let again = try TestClient(stage.port, as: try Stage.intern.get(), .direct)
            try again.send("y")
            #expect(try again.receive(count: 1) == [UInt8(ascii: "y")])
            await stage.proxy.stop()
        }
    }
}
