import IO
import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `The witness` {
    private let scenery: SpoolScenery
    private let board = HealthBoard(conditions: ["spool"])

    init() throws { scenery = try SpoolScenery() }

    private func running(
        _ plane: FakePlane, pinned: String? = nil, _ body: (AuditJob) async throws -> Void
    ) async throws {
        var configuration = scenery.configuration
        configuration.witness = pinned
        let job = AuditJob(configuration, receiver: plane.receiver, health: board, metrics: Metrics())
        await job.start()
        async let run: Void = job.run()
        do { try await body(job) } catch {
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

    private func section() -> [String: JSONValue] {
        if case .object(let members)? = board.snapshot.sections["audit"] { members } else { [:] }
    }

    private var codes: Set<String> { Set(board.snapshot.reasons.map(\.code)) }

    @Test func `is the one that the plane names first, and is shown with what it cosigned`() async throws {
        let plane = try FakePlane()
        try await running(plane) { job in
            report(1...5, to: job)
            #expect(await eventually(within: 60) { section()["cosigned"] == 5 })
            let key = await plane.witness.verifierKey
            #expect(section()["witness"] == .string(key))
        }
        let store = try scenery.open()
        #expect(store.state.cosignedSize == 5)
        #expect(await store.state.witness == plane.witness.verifierKey)
    }

    @Test(arguments: [FakePlane.Misbehaviour.foreignCosignature, .garbledCosignature, .noCosignature])
    func `must fit, or nothing is trimmed`(misbehaviour: FakePlane.Misbehaviour) async throws {
        let plane = try FakePlane(Array(repeating: misbehaviour, count: 100_000))
        try await running(plane) { job in
            report(1...5, to: job)
            #expect(await eventually(within: 60) { codes == ["AUDIT_NOT_SHIPPED"] })
            #expect(board.snapshot.state == .degraded)
            #expect(await job.spooled() == 5)
        }
        let store = try scenery.open()
        #expect(store.state.acknowledged == 0 && store.state.cosigned == "" && store.state.witness == "")
        #expect(try store.lines(from: 1).count == 5)
    }

    @Test func `that is another one than before is reported and audited, and nothing is trimmed until it is named`()
        async throws
    {
        let plane = try FakePlane()
        let first = await plane.witness.verifierKey
        try await running(plane) { job in
            report(1...5, to: job)
            #expect(await eventually(within: 60) { section()["cosigned"] == 5 })
            await plane.become(try FakeWitness(name: "other.example"))
            report(6...9, to: job)
            #expect(await eventually(within: 60) { codes == ["AUDIT_NOT_SHIPPED", "AUDIT_WITNESS_CHANGED"] })
            #expect(board.snapshot.state == .degraded)
            #expect(await eventually(within: 60) { await job.tail(1).map(name) == ["audit.witness-changed"] })
            #expect(await job.spooled() == 5)
        }
        let second = await plane.witness.verifierKey
        #expect(first != second)
        try await running(plane, pinned: second) { job in
            #expect(await eventually(within: 60) { await job.spooled() == 0 })
            #expect(await eventually(within: 60) { board.snapshot.reasons == [] })
            #expect(section()["witness"] == .string(second))
        }
        #expect(await plane.lines.count == 10)
        #expect(await plane.flaws == [])
    }

    @Test func `of the configuration is believed, and no other`() async throws {
        let plane = try FakePlane()
        let other = try FakeWitness(name: "other.example").verifierKey
        try await running(plane, pinned: other) { job in
            report(1...2, to: job)
            #expect(await eventually(within: 60) { codes.contains("AUDIT_WITNESS_CHANGED") })
            #expect(await job.spooled() >= 2)
        }
    }

    @Test func `outlives a log that was put aside`() async throws {
        let plane = try FakePlane()
        try await running(plane) { job in
            report(1...5, to: job)
            #expect(await eventually(within: 60) { section()["cosigned"] == 5 })
            await plane.answerAlways(.conflict(next: 1000))
            report(6...6, to: job)
            #expect(await eventually(within: 60) { !scenery.quarantined().isEmpty })
            await plane.become(try FakeWitness(name: "other.example"))
            await plane.answerAlways(nil)
            #expect(await eventually(within: 60) { codes.contains("AUDIT_WITNESS_CHANGED") })
        }
    }
}
