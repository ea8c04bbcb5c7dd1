import IO
import Reports
import TestSupport
import Testing

@testable import Audit

/// The whole job on a real spool, against a receiver that checks every batch.
@Suite struct `The audit job` {
    private let scenery: SpoolScenery
    private let board = HealthBoard(conditions: ["spool"])
    private let metrics = Metrics()

    init() throws { scenery = try SpoolScenery() }

    /// `farewell`: longer than any machine is slow, where it is to come to its end.
    private func job(_ plane: FakePlane?, farewell: Duration? = nil) -> AuditJob {
        var configuration = scenery.configuration
        if let farewell { configuration.farewell = farewell }
        return AuditJob(configuration, receiver: plane?.receiver, health: board, metrics: metrics)
    }

    private func running(_ job: AuditJob, _ body: () async throws -> Void) async throws {
        await job.start()
        async let run: Void = job.run()
        do {
            try await body()
        } catch {
            await job.stop()
            await run
            throw error
        }
        await job.stop()
        await run
    }

    private func report(_ numbers: ClosedRange<Int>, to job: AuditJob) {
        for number in numbers { job.reporter.report(event(number)) }
    }

    private func arrived(_ count: Int, at plane: FakePlane, from job: AuditJob) async -> Bool {
        guard await plane.lines.count == count else { return false }
        return await job.spooled() == 0
    }

    private func numbers(_ lines: [String]) -> [Int] { lines.compactMap { field($0, "number") } }

    @Test func `brings every event to the plane, in order, once`() async throws {
        let plane = try FakePlane()
        let job = job(plane)
        report(1...10, to: job)
        try await running(job) {
            report(11...3000, to: job)
            #expect(await eventually(within: 60) { await plane.lines.count == 3000 })
        }
        #expect(await numbers(plane.lines) == Array(1...3000))
        #expect(await plane.lines.map(seq) == Array(1...3000))
        #expect(await plane.flaws == [])
        #expect(await plane.batches < 60)
        let store = try scenery.open()
        #expect(store.state.isClean && store.state.acknowledged > 0)
        #expect(await store.state.cosigned.contains(plane.witness.name))
    }

    @Test(arguments: FakePlane.Misbehaviour.allCases)
    func `loses and doubles nothing with a plane that misbehaves`(misbehaviour: FakePlane.Misbehaviour) async throws {
        let plane = try FakePlane([misbehaviour])
        let job = job(plane)
        try await running(job) {
            report(1...20, to: job)
            #expect(await eventually(within: 60) { await arrived(20, at: plane, from: job) })
            report(21...40, to: job)
            #expect(await eventually(within: 60) { await arrived(40, at: plane, from: job) })
        }
        #expect(await numbers(plane.lines) == Array(1...40))
        #expect(await plane.flaws == [])
        #expect(await plane.epochs.count == 1)
        #expect(await plane.misbehaviours == [])
    }

    @Test func `keeps everything while the plane is away, says so, and ships it after a restart`() async throws {
        let plane = try FakePlane()
        await plane.answerAlways(.unavailable(reason: "no route"))
        let first = job(plane)
        try await running(first) {
            report(1...50, to: first)
            #expect(await eventually(within: 60) { board.snapshot.reasons.map(\.code) == ["AUDIT_NOT_SHIPPED"] })
            #expect(board.snapshot.state == .degraded)
        }
        await plane.answerAlways(nil)
        let second = job(plane)
        try await running(second) {
            report(51...60, to: second)
            #expect(await eventually(within: 60) { await arrived(60, at: plane, from: second) })
            #expect(await eventually(within: 60) { board.snapshot.reasons == [] })
        }
        #expect(await numbers(plane.lines) == Array(1...60))
    }

    @Test func `tells of a run that did not end`() async throws {
        let scenery = try scenery.crashed()
        let job = AuditJob(scenery.configuration, receiver: nil, health: board, metrics: metrics)
        await job.start()
        await job.stop()
        let again = AuditJob(scenery.configuration, receiver: nil, health: board, metrics: metrics)
        await again.start()
        #expect(await again.tail(10).map(name) == ["connection.accepted", "agent.ended-uncleanly"])
        await again.stop()
    }

    @Test func `begins a new log when the plane has another past`() async throws {
        let plane = try FakePlane()
        let job = job(plane)
        try await running(job) {
            report(1...5, to: job)
            #expect(await eventually(within: 60) { await arrived(5, at: plane, from: job) })
            await plane.answerAlways(.conflict(next: 1000))
            report(6...8, to: job)
            #expect(await eventually(within: 60) { !scenery.quarantined().isEmpty })
            await plane.answerAlways(nil)
            report(9...10, to: job)
            #expect(
                await eventually(within: 60) { await plane.epochs.count == 2 ? await plane.lines.count == 3 : false })
        }
        #expect(await plane.lines.map(name) == ["state.quarantined", "connection.accepted", "connection.accepted"])
        #expect(await plane.flaws == [])
        #expect(metrics.openMetricsText.contains("nodeguard_audit_lost_total 3\n"))
    }

    @Test func `stops shipping, and spools on, when the plane says that the proof is wrong`() async throws {
        let plane = try FakePlane()
        await plane.answerAlways(.invalid(reason: "checkpoint-root"))
        let job = job(plane)
        try await running(job) {
            report(1...5, to: job)
            #expect(await eventually(within: 60) { board.snapshot.reasons.map(\.code) == ["AUDIT_REFUSED"] })
            report(6...9, to: job)
            #expect(await job.flush())
        }
        #expect(await plane.batches == 1)
        #expect(try numbers(scenery.open().lines(from: 1)) == Array(1...9))
    }

    @Test func `tells how many events found no room in memory`() async throws {
        let job = job(nil)
        for number in 1...70_000 { job.reporter.report(event(number)) }
        await job.start()
        #expect(metrics.openMetricsText.contains("nodeguard_audit_dropped_total{class=\"connection\"} 8560\n"))
        await job.stop()
        let store = try scenery.open()
        var lines: [String] = []
        // It stands at the end of the first commit.
        while !lines.contains(where: { $0.contains("audit.gap") }), lines.count < 20_000 {
            lines += try store.makeBatch(first: Int64(lines.count) + 1, count: 1000).lines
        }
        let gaps = lines.filter { $0.contains("audit.gap") }
        #expect(gaps.compactMap { field($0, "count.connection") } == [8560])
    }

    @Test func `starts without a folder that it could use, and heals when there is one`() async throws {
        var configuration = scenery.configuration
        try scenery.directory.write("in the way", to: "state")
        configuration.directory = scenery.directory.file("state")
        let job = AuditJob(configuration, receiver: nil, health: board, metrics: metrics)
        job.reporter.report(event(1, .controlCall))
        await job.start()
        #expect(board.snapshot.reasons.map(\.code) == ["AUDIT_SPOOL_NOT_WRITABLE"])
        #expect(!board.snapshot.isReady)
        #expect(await !job.flush())
        try Files.remove(configuration.directory)
        #expect(await job.flush())
        #expect(board.snapshot.isReady && board.snapshot.reasons == [])
        #expect(await numbers(job.tail(10)) == [1])
        await job.stop()
    }

    @Test func `is ready with an empty log, and shows figures`() async throws {
        let job = job(nil)
        await job.start()
        #expect(board.snapshot.isReady)
        guard case .object(let section)? = board.snapshot.sections["audit"] else { return #expect(Bool(false)) }
        #expect(section["next_seq"] == 1 && section["spooled_events"] == 0 && section["last_error"] == .null)
        await job.stop()
    }

    @Test func `lets the plane take the last events before it ends`() async throws {
        let plane = try FakePlane()
        let job = job(plane, farewell: .seconds(60))
        try await running(job) {
            report(1...5, to: job)
            #expect(await eventually(within: 60) { await plane.lines.count == 5 })
            job.reporter.report(AuditEvent(.agentStopped))
        }
        #expect(await plane.lines.last.map(name) == "agent.stopped")
    }

    @Test func `does not wait for a plane that was away`() async throws {
        let plane = try FakePlane()
        await plane.answerAlways(.unavailable(reason: "no route"))
        let job = job(plane)
        try await running(job) {
            report(1...5, to: job)
            #expect(await eventually(within: 60) { await plane.batches > 0 })
        }
        #expect(try numbers(scenery.open().lines(from: 1)) == Array(1...5))
        #expect(await plane.lines == [])
    }

    @Test func `makes a security event durable at once`() async throws {
        let job = job(nil)
        try await running(job) {
            job.reporter.report(event(1, .controlCall))
            #expect(await eventually(within: 20) { await job.tail(1).count == 1 })
        }
    }
}

extension SpoolScenery {
    fileprivate func crashed() throws -> SpoolScenery {
        let store = try create()
        _ = try store.append([event(1)], at: .now)
        return try image()
    }
}
