import Logging
import NIOCore
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Status
@testable import nodeguard

@Suite struct `The life of the daemon` {
    private func server(_ folder: TemporaryDirectory) async throws -> StatusServer {
        let refusal = ControlOutcome.refused("no")
        let source = StatusSource(
            identification: { NodeIdentification(node: "db-1", cluster: "c", version: "1", started: .now) },
            health: HealthBoard(conditions: []), metrics: Metrics(), lanes: { [] },
            control: ControlActions(
                connections: { _, _ in [:] }, events: { _ in [:] }, renew: { _ in refusal }, kill: { _ in refusal },
                drain: { refusal }, undrain: { refusal }, reload: { _ in refusal }))
        return try await StatusServer.open(
            StatusConfiguration(statusPath: folder.file("s"), controlPath: folder.file("c")), source: source,
            audit: .none, logger: Logger(label: "test"))
    }

    @Test(arguments: [0, 1])
    func `ends as a failure when one of its local sockets does`(socket: Int) async throws {
        let folder = try temporaryDirectory()
        let server = try await server(folder)
        let (stop, failure) = (StopRequest(), Lifecycle.Failure())
        async let answered: Void = Lifecycle.answer(server, stop, failure)
        // As NIO does when accept(2) fails for good.
        try await server.listeners[socket].channel.channel.close()
        await answered
        #expect(await stop.wait(for: .seconds(60)))
        #expect(failure.reason.withLock(\.self)?.contains(folder.file(["s", "c"][socket])) == true)
    }

    @Test func `is not a failure when it was asked to end`() async throws {
        let folder = try temporaryDirectory()
        let server = try await server(folder)
        let (stop, failure) = (StopRequest(), Lifecycle.Failure())
        let answering = Task { await Lifecycle.answer(server, stop, failure) }
        answering.cancel()
        await answering.value
        #expect(failure.reason.withLock(\.self) == nil)
        #expect(await !stop.wait(for: .milliseconds(1)))
    }
}
