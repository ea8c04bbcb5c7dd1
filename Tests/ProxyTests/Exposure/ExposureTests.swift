import IO
import Reports
import TestSupport
import Testing

@testable import Proxy

/// A database that listens on every address, until it is closed.
private final class ExposedDatabase {
    private let socket: ListeningSocket

    init() throws { socket = try ListeningSocket(.ipv4([0, 0, 0, 0], port: 0)) }

    var port: UInt16 { socket.address.port ?? 0 }
    var onLoopback: SocketAddress { .ipv4([127, 0, 0, 1], port: port) }
}

@Suite struct `A database that is reachable around its listener` {
    private func reason(_ stage: Stage, _ code: String) -> HealthReason? {
        stage.health.snapshot.reasons.first { $0.code == code }
    }

    /// A child of another test has its descriptors for a moment, too: between fork and exec.
    private func isOver(_ stage: Stage) async -> Bool {
        await eventually(within: 20) {
            stage.proxy.lookAtExposure()
            return self.reason(stage, "BACKEND_EXPOSED") == nil
        }
    }

    @Test func `is reported before a port is open, and until it is over`() async throws {
        var database: ExposedDatabase? = try ExposedDatabase()
        let port = try #require(database?.port)
        let stage = try Stage([try Stage.listener(.tcp, backend: [try #require(database).onLoopback])])
        let found = try #require(reason(stage, "BACKEND_EXPOSED"))
        #expect(found.severity == .warn && found.detail.contains("0.0.0.0:\(port)"), "\(found)")
        #expect(stage.events.named(.backendExposed).map(\.outcome) == [.failure])
        database = nil
        #expect(await isOver(stage))
        #expect(stage.events.named(.backendExposed).map(\.outcome) == [.failure, .success])
        await stage.proxy.stop()
    }

    @Test func `is not served where that is to be refused, and is when it is over`() async throws {
        var database: ExposedDatabase? = try ExposedDatabase()
        let stage = try Stage(
            [try Stage.listener(.tcp, backend: [try #require(database).onLoopback])], exposure: .refuse)
        #expect(reason(stage, "BACKEND_EXPOSED")?.severity == .error)
        let port = stage.port
        try await blocking { _ = try? TestSocket(port: port).receiveAll() }
        #expect(await eventually(within: 20) { stage.refused(.backendExposed) == 1 })
        database = nil
        #expect(await isOver(stage))
        try await blocking { _ = try? TestClient(port, as: Stage.client.get(), .direct) }
        #expect(await eventually(within: 20) { (try? stage.counters().handshakesFinished.value) == 1 })
        #expect(stage.refused(.backendExposed) == 1)
        await stage.proxy.stop()
    }

    @Test func `is no other than the listener itself, from the first look on`() async throws {
        let port = UInt16(try freePort())
        let listener = try Stage.listener(.tcp, backend: [.ipv4([127, 0, 0, 1], port: port)]) {
            $0.listen = [.ipv4([0, 0, 0, 0], port: port)]
        }
        let stage = try Stage([listener], exposure: .refuse)
        #expect(reason(stage, "BACKEND_EXPOSED") == nil)
        #expect(stage.events.named(.backendExposed) == [])
        await stage.proxy.stop()
    }

    @Test func `is not looked for where nobody asks`() async throws {
        let database = try ExposedDatabase()
        let stage = try Stage([try Stage.listener(.tcp, backend: [database.onLoopback])], exposure: .off)
        #expect(reason(stage, "BACKEND_EXPOSED") == nil)
        await stage.proxy.stop()
    }

    @Test func `over a unix socket of everybody's is told of, for those on the node`() async throws {
        let folder = try temporaryDirectory()
        let path = folder.file("database.sock")
        let socket = try ListeningSocket(.unix(path: path), mode: 0o777)
        #expect(socket.rawValue >= 0)
        let stage = try Stage([try Stage.listener(.tcp, backend: [.unix(path: path)])])
        #expect(reason(stage, "BACKEND_SOCKET_OPEN")?.severity == .info)
        _ = try Subprocess.check("chmod", ["660", path])
        stage.proxy.lookAtExposure()
        #expect(reason(stage, "BACKEND_SOCKET_OPEN") == nil)
        await stage.proxy.stop()
    }
}
