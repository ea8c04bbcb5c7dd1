import IO
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    @Suite(.timeLimit(.minutes(3))) struct `A client whose doings could not be audited` {
        private final class Room: Sendable {
            let exists = Atomic(true)
        }

        @Test func `is turned away before a byte and counted, and who is there stays`() async throws {
            let backend = try TestBackend.echo()
            let room = Room()
            let stage = try Stage(
                [try Stage.listener(.postgres, backend: [backend.address])],
                isAudited: { room.exists.load(ordering: .relaxed) })
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            room.exists.store(false, ordering: .relaxed)
            for _ in 0..<3 {
                let socket = try TestSocket(port: stage.port)
                #expect((try? socket.receive()) ?? [] == [])
            }
            #expect(await eventually(within: 20) { stage.refused(.auditFull) == 3 })
            try client.send(Array("still here".utf8))
            #expect(try client.receive(count: 10) == Array("still here".utf8))
            #expect(stage.events.named(.connectionRefused).isEmpty)
            room.exists.store(true, ordering: .relaxed)
            let next = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try next.send(startup())
            #expect(try next.receive(count: startup().count) == startup())
            await stage.proxy.stop()
        }
    }
}
