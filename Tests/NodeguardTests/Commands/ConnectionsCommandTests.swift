import Foundation
import IO
import Logging
import Proxy
import Reports
import Status
import Synchronization
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The list of connections` {
    private static func connection(_ id: UInt64, subjectLength: Int) -> ConnectionSummary {
        ConnectionSummary(
            id: id, listener: "ysql", peerAddress: "192.0.2.1:5433",
            peerSubject: "CN=" + String(repeating: "x", count: subjectLength), peerSerial: "0A:1B", user: "app",
            database: nil, since: .now, bytesReceived: 1, bytesSent: 2)
    }

    private func source(_ connections: [ConnectionSummary], _ asked: @escaping @Sendable () -> Void) -> StatusSource {
        let refusal = ControlOutcome.refused("no")
        return StatusSource(
            identification: { NodeIdentification(node: "db-1", cluster: "c", version: "1", started: .now) },
            health: HealthBoard(conditions: []), metrics: Metrics(), lanes: { [] },
            control: ControlActions(
                connections: { after, limit in
                    asked()
                    let found = connections.lazy.filter { $0.id > after }.prefix(limit + 1)
                    return ConnectionPage(Array(found), limit: limit).document
                }, events: { _ in ["events": []] }, renew: { _ in refusal }, kill: { _ in refusal }, drain: { refusal },
                undrain: { refusal }, reload: { _ in refusal }))
    }

    @Test(arguments: [(3_000, 250), (40, 60_000), (1000, 10), (0, 0)])
    func `is whole, however many there are and however long their names`(count: Int, length: Int) async throws {
        let folder = try temporaryDirectory()
        let all = (1...max(1, UInt64(count))).prefix(count).map { Self.connection($0 * 3, subjectLength: length) }
        let pages = Mutex(0)
        let server = try await StatusServer.open(
            StatusConfiguration(statusPath: folder.file("s"), controlPath: folder.file("c")),
            source: source(all) { pages.withLock { $0 += 1 } }, audit: AuditReporter { _ in },
            logger: Logger(label: "test"))
        let running = Task { try await server.run() }
        var section = StatusSection()
        section.control = folder.file("c")
        let listed = try await ConnectionsCommand.all(LocalQuestions(configuration: section))
        #expect(listed.compactMap { $0["id"]?.number } == all.map { Double($0.id) })
        let bytes = count * (length + 200)
        #expect(pages.withLock { $0 } >= max(1, max(count / 1000, bytes / (2 * ConnectionPage.byteLimit))))
        running.cancel()
        _ = await running.result
    }

    @Test func `ends a page before an answer could be too long, but never without a connection`() {
        let long = (1...3).map { Self.connection($0, subjectLength: ConnectionPage.byteLimit) }
        let page = ConnectionPage(long, limit: 1000).document
        #expect(page["connections"]?.items.count == 1 && page["next"] == .integer(1))
        let last = ConnectionPage([long[2]], limit: 1000).document
        #expect(last["connections"]?.items.count == 1 && last["next"] == nil)
        let exact = (1...2).map { Self.connection($0, subjectLength: 5) }
        #expect(ConnectionPage(exact, limit: 2).document["next"] == nil)
        #expect(ConnectionPage(exact, limit: 1).document["next"] == .integer(1))
    }

    @Test func `names the proxy that has announced a peer`() {
        let carried = ConnectionSummary(
            id: 7, listener: "ysql", peerAddress: "192.0.2.1:5555", carrierAddress: "10.0.0.1:99",
            peerSubject: "CN=shop",
            peerSerial: "0A", user: nil, database: nil, since: .now, bytesReceived: 1, bytesSent: 2)
        let rows = ConnectionPage([carried, Self.connection(8, subjectLength: 1)], limit: 5).document["connections"]?
            .items
        #expect(rows?.map { $0["carrier_address"]?.string } == ["10.0.0.1:99", nil])
        let lines = ConnectionsCommand.text(rows ?? [], Timestamp.now.seconds).split(separator: "\n")
        #expect(lines.count == 3 && lines[1].contains("192.0.2.1:5555 via 10.0.0.1:99") && !lines[2].contains(" via "))
    }
}
