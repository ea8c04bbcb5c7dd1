import Foundation
import IO
import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `A disk that is full` {
    private static let childVariable = "NODEGUARD_TEST_DISK_FULL"

    /// The limit on the size of files (setrlimit(2)) holds for a whole process, so the test runs in one of its own.
    @Test func `tears nothing, loses nothing, and is used again as soon as there is room`() async throws {
        if ProcessInfo.processInfo.environment[Self.childVariable] != nil {
            try await fillAndHeal()
            try FileHandle.standardOutput.write(contentsOf: Data("healed\n".utf8))
            return
        }
        let child = try Subprocess(
            "/proc/self/exe",
            CommandLine.arguments.dropFirst().filter { $0.hasPrefix("--testing-library") || $0 == "swift-testing" }
                + ["--filter", "A disk that is full"],
            environment: [Self.childVariable: "1"])
        let result = try await child.waitForEnd()
        #expect(result.succeeded && result.output.contains("healed"), "\(result)")
    }

    private func fillAndHeal() async throws {
        signal(SIGXFSZ, SIG_IGN)
        let scenery = try SpoolScenery()
        let board = HealthBoard(conditions: ["spool"])
        let spool = scenery.spool(board)
        let intake = AuditIntake()
        var number = 0
        func report(_ count: Int) {
            for _ in 0..<count {
                number += 1
                intake.report(event(number, padding: 500))
            }
        }
        report(100)
        #expect(await spool.drain(intake) == .done)
        #expect(board.snapshot.isReady)

        try limitFiles(to: 256 << 10)
        // A file that cannot grow is opened anew, and may have a little room then.
        var refusals = 0
        while refusals < 3, number < 100_000 {
            report(50)
            refusals = await spool.drain(intake) == .blocked ? refusals + 1 : 0
        }
        #expect(refusals == 3)
        #expect(!board.snapshot.isReady)
        #expect(board.snapshot.reasons.map(\.code) == ["AUDIT_SPOOL_NOT_WRITABLE"])
        report(50)
        #expect(await spool.drain(intake) == .blocked)

        try limitFiles(to: nil)
        while await spool.drain(intake) == .more {}
        #expect(board.snapshot.isReady)
        #expect(board.snapshot.reasons == [])
        await spool.finish(intake)
        let store = try scenery.open()
        #expect(store.state.isClean)
        #expect(scenery.quarantined() == [])
        let lines = try store.lines(from: 1)
        #expect(lines.map(seq) == Array(1...lines.count))
        #expect(lines.compactMap { field($0, "number") } == Array(1...number))
    }

    private func limitFiles(to size: UInt?) throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        limit.rlim_cur = size ?? limit.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
            throw TestSupportError("cannot limit the size of files")
        }
    }
}
