import IO
import Reports
import TestSupport
import Testing

@testable import Audit

/// What the policy of its class makes of an event for which there is no room.
@Suite struct `A full spool's policy` {
    private static let limit: Int64 = 200_000
    private let plane: FakePlane
    private let board = HealthBoard(conditions: ["spool"])
    private let metrics = Metrics()

    init() throws { plane = try FakePlane() }

    private func scenery(_ change: (inout FullPolicies) -> Void) throws -> SpoolScenery {
        var scenery = try SpoolScenery(limit: Self.limit)
        change(&scenery.configuration.whenFull)
        return scenery
    }

    private func fill(_ spool: AuditSpool, _ intake: AuditIntake, _ numbers: Range<Int>, _ name: AuditEventName) async {
        for number in numbers {
            intake.report(event(number, name, padding: 1000))
            while await spool.drain(intake) == .more {}
        }
    }

    private func lines(_ scenery: SpoolScenery) throws -> [String] {
        let store = try scenery.open()
        #expect(try store.state.usage == store.storedUsage())
        let lines = try store.lines(from: 1)
        #expect(lines.map(seq) == Array(1...lines.count))
        #expect(store.state.tree == tree(over: lines))
        return lines
    }

    @Test func `keeps what came first and counts what comes, with drop-newest`() async throws {
        let scenery = try scenery { $0.connection = .dropNewest }
        let spool = scenery.spool(board, metrics)
        let intake = AuditIntake()
        await fill(spool, intake, 1..<400, .connectionClosed)
        await fill(spool, intake, 400..<420, .controlCall)
        await spool.finish(intake)
        let lines = try lines(scenery)
        let kept = lines.filter { name($0) == "connection.closed" }.compactMap { field($0, "number") }
        #expect(kept == Array(1...kept.count) && kept.count > 100)
        #expect(lines.filter { name($0) == "control.call" }.count == 20)
        let gaps = lines.filter { name($0) == "audit.gap" }
        #expect(gaps.count == 2)
        #expect(gaps.compactMap { field($0, "count.connection") }.reduce(0, +) == 399 - kept.count)
        #expect(gaps.allSatisfy { $0.contains("\"reason\":\"spool-full\"") })
        let figures = metrics.openMetricsText
        #expect(figures.contains("nodeguard_audit_dropped_total{class=\"connection\"} \(399 - kept.count)\n"))
        #expect(figures.contains("nodeguard_audit_events_total{class=\"connection\"} \(kept.count)\n"))
        #expect(board.snapshot.reasons.contains { $0.code == "AUDIT_EVENTS_DROPPED" })
    }

    @Test func `of one class spares the others`() async throws {
        let scenery = try scenery { $0.connection = .dropNewest }
        let spool = scenery.spool(board, metrics)
        let intake = AuditIntake()
        await fill(spool, intake, 1..<50, .connectionClosed)
        await fill(spool, intake, 50..<400, .backupStarted)
        await fill(spool, intake, 400..<420, .connectionClosed)
        await spool.finish(intake)
        let lines = try lines(scenery)
        let connections = lines.filter { name($0) == "connection.closed" }.compactMap { field($0, "number") }
        #expect(Array(connections.prefix(49)) == Array(1..<50))
        #expect(lines.contains { name($0) == "audit.gap" && field($0, "first") == 50 })
        #expect(lines.last { name($0) == "backup.started" }.flatMap { field($0, "number") } == 399)
    }

    @Test func `lets nobody new in with refuse-connections, until the plane has taken what waits`() async throws {
        let scenery = try scenery { $0.connection = .refuseConnections }
        let job = AuditJob(scenery.configuration, receiver: plane.receiver, health: board, metrics: metrics)
        // Closed until the spool is open.
        #expect(!job.admitsConnections)
        await plane.answerAlways(.unavailable(reason: "no route"))
        await job.start()
        #expect(job.admitsConnections)
        async let run: Void = job.run()
        var number = 0
        while job.admitsConnections, number < 5000 {
            number += 1
            job.reporter.report(event(number, padding: 2000))
            #expect(await job.flush())
        }
        #expect(number < 5000)
        #expect(board.snapshot.reasons.contains { $0.code == "AUDIT_SPOOL_FULL" && $0.severity == .error })
        // Those who are there still have room; all of them are in the log.
        job.reporter.report(event(number + 1, .connectionClosed))
        #expect(await job.flush())
        await plane.answerAlways(nil)
        #expect(await eventually(within: 60) { job.admitsConnections })
        #expect(await eventually(within: 60) { !board.snapshot.reasons.contains { $0.code == "AUDIT_SPOOL_FULL" } })
        job.reporter.report(event(number + 2))
        #expect(await eventually(within: 60) { await plane.lines.count == number + 2 })
        #expect(await plane.lines.compactMap { field($0, "number") } == Array(1...number + 2))
        await job.stop()
        await run
    }

    @Test func `is bounded with refuse-connections, whatever those do who are there`() async throws {
        let scenery = try scenery { $0.connection = .refuseConnections }
        let spool = scenery.spool(board, metrics)
        let intake = AuditIntake()
        await fill(spool, intake, 1..<400, .connectionClosed)
        #expect(try #require(await spool.view()).waitingBytes < Self.limit + 2048)
        await spool.finish(intake)
        let lines = try lines(scenery)
        let kept = lines.filter { name($0) == "connection.closed" }.count
        let told = lines.filter { name($0) == "audit.gap" }.compactMap { field($0, "count.connection") }.reduce(0, +)
        #expect(kept + told == 399)
    }

    @Test func `lets nobody in while the disk refuses, and says so`() async throws {
        var scenery = try scenery { $0.agent = .refuseConnections }
        try scenery.directory.write("in the way", to: "state")
        scenery.configuration.directory = scenery.directory.file("state")
        let job = AuditJob(scenery.configuration, receiver: nil, health: board, metrics: metrics)
        await job.start()
        #expect(!job.admitsConnections)
        #expect(board.snapshot.reasons.contains { $0.code == "AUDIT_SPOOL_FULL" })
        try Files.remove(scenery.configuration.directory)
        #expect(await job.flush())
        #expect(job.admitsConnections && board.snapshot.reasons == [])
        await job.stop()
    }

    @Test func `admits everybody without refuse-connections, whatever happens`() async throws {
        let scenery = try scenery { $0.connection = .dropNewest }
        try scenery.directory.write("in the way", to: "audit.sqlite")
        let job = AuditJob(scenery.configuration, receiver: nil, health: board, metrics: metrics)
        #expect(job.admitsConnections)
        for number in 1..<2000 { job.reporter.report(event(number)) }
        await job.start()
        #expect(job.admitsConnections)
        await job.stop()
    }
}
