import Reports
import Testing

@Suite struct `The health board` {
    private let board = HealthBoard(conditions: ["spool", "listeners"])

    private func meet(_ names: String..., isMet: Bool = true) {
        for name in names { board.set(ReadinessCondition(name, isMet: isMet, detail: "")) }
    }

    private func raise(_ code: String, _ severity: Severity, subject: String = "", since: Int64 = 0) {
        board.raise(
            HealthReason(
                code, severity, subject: subject, detail: "", action: "", since: Timestamp(seconds: since)))
    }

    @Test func `is starting until every condition was met, and failed when one is lost`() {
        #expect(board.snapshot.state == .starting)
        meet("spool")
        #expect(board.snapshot.state == .starting)
        meet("listeners")
        #expect(board.snapshot.state == .ready)
        meet("spool", isMet: false)
        #expect(board.snapshot.state == .failed)
        #expect(!board.snapshot.isReady)
    }

    @Test func `is degraded, still ready, with a warning, and not with information`() {
        meet("spool", "listeners")
        raise("NOTE", .info)
        #expect(board.snapshot.state == .ready)
        raise("AWAY", .warn)
        #expect(board.snapshot.state == .degraded)
        #expect(board.snapshot.isReady)
        board.clear("AWAY")
        #expect(board.snapshot.state == .ready)
    }

    @Test func `drains whatever else is the case`() {
        board.beginDraining()
        #expect(board.snapshot.state == .draining)
        board.endDraining()
        #expect(board.snapshot.state == .starting)
    }

    @Test func `tells the worst first, then the oldest`() {
        raise("B", .warn, since: 2)
        raise("A", .warn, since: 1)
        raise("C", .error, since: 3)
        #expect(board.snapshot.reasons.map(\.code) == ["C", "A", "B"])
    }

    @Test func `keeps since when a reason is raised again, and one reason for each subject`() {
        raise("A", .warn, subject: "one", since: 1)
        raise("A", .error, subject: "one", since: 9)
        raise("A", .warn, subject: "two", since: 5)
        #expect(board.snapshot.reasons.map(\.since) == [Timestamp(seconds: 1), Timestamp(seconds: 5)])
        #expect(board.snapshot.reasons.first?.severity == .error)
        board.clear("A", subject: "one")
        #expect(board.snapshot.reasons.map(\.subject) == ["two"])
    }

    @Test func `shows each job's own section`() {
        board.publish(section: "audit", ["epoch": 1])
        board.publish(section: "audit", ["epoch": 2])
        #expect(board.snapshot.sections == ["audit": ["epoch": 2]])
    }
}
