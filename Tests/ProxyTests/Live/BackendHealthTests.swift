import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    @Suite(.timeLimit(.minutes(3))) struct `The databases behind a listener` {
        private static func stage(
            _ spoken: DatabaseProtocol, _ backends: [SocketAddress], _ security: BackendTLS? = nil,
            timeout: Duration = .milliseconds(500)
        ) throws -> Stage {
            let listener = try Stage.listener(spoken, backend: backends) {
                $0.health = BackendHealthRules(every: .seconds(1), timeout: timeout)
                $0.backendTLS = security
            }
            return try Stage([listener])
        }

        private static func states(_ stage: Stage) -> [BackendHealthStateMachine.State] {
            stage.proxy.listeners.flatMap { $0.backendHealth.findings.map(\.state) }
        }

        @Test(arguments: [false, true])
        func `are found down and up again, and no client waits meanwhile`(_ isSecured: Bool) async throws {
            let postgres = try await TestPostgres(tls: isSecured ? try Stage.server.get() : nil)
            let stage = try Self.stage(
                .postgres, [postgres.address], isSecured ? `A connection with TLS to the database`.verify : nil)
            #expect(await eventually(within: 20) { Self.states(stage) == [.up] })
            #expect(try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 1").output == "1\n")
            await postgres.stop()
            #expect(await eventually(within: 20) { Self.states(stage) == [.down] })
            let down = try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 1")
            #expect(down.errors.contains("does not accept connections") && down.errors.contains("(for "), "\(down)")
            #expect(stage.refusalDetails.last?.contains("down for") == true, "\(stage.refusalDetails)")
            #expect(
                await eventually(within: 20) {
                    stage.health.snapshot.reasons.contains { $0.code == "BACKEND_DOWN" && $0.severity == .error }
                })
            try await postgres.start()
            #expect(await eventually(within: 20) { Self.states(stage) == [.up] })
            #expect(try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 2").output == "2\n")
            #expect(
                await eventually(within: 20) {
                    !stage.health.snapshot.reasons.contains { $0.code == "BACKEND_DOWN" }
                })
            await stage.proxy.stop()
        }

        @Test(arguments: [false, true])
        func `are not made to complain of probes in their logs`(_ isSecured: Bool) async throws {
            let postgres = try await TestPostgres(tls: try Stage.server.get())
            let stage = try Self.stage(
                .postgres, [postgres.address], isSecured ? `A connection with TLS to the database`.verify : nil)
            #expect(await eventually(within: 20) { Self.states(stage) == [.up] })
            let probed = { stage.proxy.listeners.first?.backendHealth.probeCount ?? 0 }
            #expect(await eventually(within: 20) { probed() >= 3 })
            await stage.proxy.stop()
            let output = await postgres.stop()
            #expect(output.contains("ready to accept connections"))
            #expect(!output.contains("could not"), "\(output)")
        }

        @Test func `are left out one by one`() async throws {
            let dead = try TestBackend.echo()
            dead.stop()
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.tcp, [dead.address, backend.address])
            #expect(await eventually(within: 20) { Self.states(stage) == [.down, .up] })
            #expect(stage.proxy.listeners.first?.backendHealth.worthTrying == [backend.address])
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.send("x")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            #expect(
                await eventually(within: 20) {
                    stage.health.snapshot.reasons.contains { $0.code == "BACKEND_DOWN" && $0.severity == .warn }
                })
            await stage.proxy.stop()
        }

        @Test(arguments: [DatabaseProtocol.redis, .cassandra])
        func `must answer in their own protocol`(_ spoken: DatabaseProtocol) async throws {
            let answer = spoken == .redis ? Array("+PONG\r\n".utf8) : [0x84, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0]
            let good = try TestBackend { socket, _ in
                _ = try socket.receive()
                for byte in answer { try socket.send([byte]) }
                _ = try socket.receiveAll()
            }
            let secured = try TestBackend.secured { server, _ in
                _ = try server.receive()
                for byte in answer { try server.send([byte]) }
                _ = try server.receiveAll()
            }
            let wrong = try TestBackend { socket, _ in
                _ = try socket.receive()
                try socket.send(Array("HTTP/1.1 400 Bad Request\r\n".utf8))
                _ = try socket.receiveAll()
            }
            let silent = try TestBackend { socket, _ in _ = try socket.receiveAll() }
            let stage = try Self.stage(spoken, [good.address, wrong.address, silent.address])
            #expect(await eventually(within: 20) { Self.states(stage) == [.up, .down, .down] })
            let reasons = stage.proxy.listeners.flatMap { $0.backendHealth.findings.map(\.reason) }
            #expect(reasons[1]?.contains("the answer to") == true && reasons[2]?.contains("in time") == true)
            await stage.proxy.stop()
            let other = try Self.stage(
                spoken, [secured.address, good.address], `A connection with TLS to the database`.verify)
            #expect(await eventually(within: 20) { Self.states(other) == [.up, .down] })
            await other.proxy.stop()
        }
    }
}
