import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// `backend-tls-negotiation: direct`.
    @Suite(.timeLimit(.minutes(2))) struct `Direct TLS to a PostgreSQL server` {
        private static let direct = BackendTLS(
            .verify, name: "localhost", trust: ListenerTrust(trustsCluster: true, anchors: []), negotiation: .direct)

        private static func stage(_ backend: SocketAddress, probes: Bool = false) throws -> Stage {
            try Stage([
                try Stage.listener(.postgres, backend: [backend]) {
                    $0.backendTLS = direct
                    if probes { $0.health = BackendHealthRules(every: .seconds(1)) }
                }
            ])
        }

        @Test(arguments: [TLSVersion.tls12, .tls13])
        func `begins with TLS, under the name of the protocol`(_ version: TLSVersion) async throws {
            let backend = try TestBackend.secured(maximum: version, protocols: ["other", "postgresql"]) { server, _ in
                while case let bytes = try server.receive(), !bytes.isEmpty { try server.send(bytes) }
                try server.endWriting()
            }
            let stage = try Self.stage(backend.address, probes: true)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            #expect(
                await eventually(within: 20) {
                    stage.proxy.listeners.first?.backendHealth.findings.map(\.state) == [.up]
                })
            await stage.proxy.stop()
        }

        /// A server that takes any TLS may be of another protocol, which would read what a client says as its own.
        @Test func `goes to nobody who does not agree on the protocol`() async throws {
            let backend = try TestBackend.secured { server, backend in backend.note(try server.receiveAll()) }
            let stage = try Self.stage(backend.address)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(`A PostgreSQL port`.errorFields(try client.receiveAll())["C"] == "57P03")
            #expect(stage.refusalDetails.last?.contains("did not agree on the application protocol") == true)
            #expect(backend.noted.allSatisfy { $0.isEmpty })
            let other = try TestBackend.secured(protocols: ["redis"]) { server, backend in
                backend.note(try server.receiveAll())
            }
            let second = try Self.stage(other.address)
            let refused = try TestClient(second.port, as: try Stage.client.get(), .sslRequest)
            try refused.send(startup())
            #expect(`A PostgreSQL port`.errorFields(try refused.receiveAll())["C"] == "57P03")
            #expect(other.noted == [])
            for stage in [stage, second] { await stage.proxy.stop() }
        }

        @Test func `reaches the database of another node, queries and cancels alike`() async throws {
            let postgres = try await TestPostgres()
            let node = try Stage.authority.get().issue(
                name: "localhost", dnsNames: ["localhost"], addresses: ["127.0.0.1"], uris: ["spiffe://c/app/node"],
                usage: [.server, .client])
            let back = try Stage([try Stage.listener(.postgres, backend: [postgres.address])])
            let front = try Self.stage(.ipv4([127, 0, 0, 1], port: back.port), probes: true)
            try front.publish(node)
            #expect(try TestPostgres.psql(front.port, as: try Stage.client.get(), "select 6 * 7").output == "42\n")
            let connection = try TestPostgres.connection(front.port, as: try Stage.client.get())
            let psql = try Subprocess("psql", ["-XAtq", "-d", connection, "-c", "select pg_sleep(60)"])
            let running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"
            #expect(await eventually(within: 20) { (try? postgres.direct(running)) == "1\n" })
            psql.signal(SIGINT)
            let outcome = try await psql.waitForEnd(within: 60)
            #expect(outcome.errors.contains("canceling statement due to user request"), "\(outcome)")
            // Over TLS, and so as the same identity.
            let cancelled = try #require(back.events.named(.cancelForwarded).first)
            #expect(cancelled.fields["peer.subject"] == "CN=localhost")
            #expect(back.refused(.malformedPreamble) == 0 && back.refused(.plaintext) == 0)
            for stage in [front, back] { await stage.proxy.stop() }
        }
    }
}
