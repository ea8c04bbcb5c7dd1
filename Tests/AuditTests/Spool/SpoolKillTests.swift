import Foundation
import Reports
import TestSupport
import Testing

@testable import Audit

/// A process that spools and says what is durable is killed at random moments, again and again, on the same spool.
@Suite struct `A killed process` {
    private static let childVariable = "NODEGUARD_TEST_SPOOL"
    /// More for the long run.
    private static var rounds: Int {
        ProcessInfo.processInfo.environment["NODEGUARD_TEST_KILLS"].flatMap(Int.init) ?? 8
    }

    @Test func `loses no acknowledged event, doubles none, and leaves no hole`() async throws {
        if let path = ProcessInfo.processInfo.environment[Self.childVariable] { try await spoolForEver(path) }
        let scenery = try SpoolScenery()
        var acknowledged = 0
        var checked = 0
        var known: [Int] = []
        for round in 0..<Self.rounds {
            let last = try await runAndKill(scenery, from: acknowledged + 1, round)
            #expect(last > acknowledged, "round \(round)")
            acknowledged = last
            let store = try scenery.open()
            #expect(store.state.place.epoch == 7)
            let lines = try store.lines(from: Int64(checked) + 1)
            #expect(lines.map(seq) == Array(checked + 1..<checked + 1 + lines.count), "round \(round)")
            checked += lines.count
            known += lines.compactMap { field($0, "number") }
            #expect(Set(known).count == known.count, "round \(round)")
            #expect(known == known.sorted(), "round \(round)")
            #expect(Set(1...acknowledged).subtracting(known).isEmpty, "round \(round)")
            #expect(lines.filter { name($0) == "agent.ended-uncleanly" }.count == 1)
            acknowledged = max(acknowledged, known.last ?? 0)
        }
        #expect(scenery.quarantined() == [])
        let store = try scenery.open()
        #expect(store.state.tree == tree(over: try store.lines(from: 1)))
    }

    /// Returns the last number that the process said to be durable.
    private func runAndKill(_ scenery: SpoolScenery, from first: Int, _ round: Int) async throws -> Int {
        if round == 0 { try scenery.create().close() }
        // What the child leaves behind when it is killed.
        let remains = try TemporaryDirectory()
        let child = try Subprocess(
            "/proc/self/exe",
            CommandLine.arguments.dropFirst().filter { $0.hasPrefix("--testing-library") || $0 == "swift-testing" }
                + ["--filter", "A killed process"],
            environment: [Self.childVariable: "\(scenery.directory.path) \(first)", "TMPDIR": remains.path])
        guard await eventually(within: 30, { child.output.contains("durable ") || !child.isRunning }), child.isRunning
        else { throw TestSupportError("the child did not start: \(child.output)\(child.errors)") }
        let deadline = ContinuousClock.now + .milliseconds(.random(in: 0...150))
        _ = await eventually(within: 20) { ContinuousClock.now >= deadline }
        child.signal(SIGKILL)
        _ = try await child.waitForEnd()
        let words = child.output.split(separator: "\n").filter { $0.hasPrefix("durable ") && $0.hasSuffix(".") }
        return try #require(words.last?.split(separator: " ").dropFirst().first.flatMap { Int($0) })
    }

    /// The child: groups of events of both kinds through the job itself, each told when it is durable.
    private func spoolForEver(_ order: String) async throws -> Never {
        let words = order.split(separator: " ")
        var scenery = try SpoolScenery()
        scenery.configuration.directory = String(words[0])
        let spool = scenery.spool()
        let intake = AuditIntake()
        var number = Int(words[1]) ?? 0
        let parent = getppid()
        while getppid() == parent {
            for _ in 0..<Int.random(in: 1...20) {
                intake.report(event(number, Bool.random() ? .controlCall : .connectionClosed))
                number += 1
            }
            while await spool.drain(intake) == .more {}
            if let view = await spool.view(), view.committed > view.acknowledged + 400, Bool.random(),
                let batch = await spool.makeBatch(epoch: view.epoch, first: view.acknowledged + 1, count: 100)
            {
                _ = await spool.makeBatch(epoch: view.epoch, first: batch.first, count: 100)
            }
            try FileHandle.standardOutput.write(contentsOf: Data("durable \(number - 1) .\n".utf8))
        }
        exit(1)
    }
}
