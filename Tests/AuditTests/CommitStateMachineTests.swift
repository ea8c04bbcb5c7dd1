import Testing

@testable import Audit

@Suite struct `When a group of events is committed` {
    private var machine = CommitStateMachine()
    private static let delay = CommitStateMachine.delay

    /// What it wants to do now with what waits.
    private mutating func look(_ isEmpty: Bool, urgent: Bool = false, at time: Duration) -> CommitStateMachine.Action {
        machine.observed(isEmpty: isEmpty, isUrgent: urgent, at: time)
    }

    @Test mutating func `an event waits twenty milliseconds at most, however many come after it`() {
        #expect(Self.delay <= .milliseconds(20))
        let first = Duration.seconds(3)
        check(look(false, at: first), .wait(for: Self.delay))
        for passed in 1..<20 {
            let left = Self.delay - .milliseconds(passed)
            check(look(false, at: first + .milliseconds(passed)), .wait(for: left))
        }
        check(look(false, at: first + Self.delay), .commit)
        machine.committed(.done, at: first + Self.delay)
        // The next one waits anew.
        check(look(false, at: .seconds(4)), .wait(for: Self.delay))
    }

    @Test mutating func `a security event does not wait, nor does who waits before it`() {
        check(look(false, urgent: true, at: .seconds(1)), .commit)
        machine.committed(.done, at: .seconds(1))
        check(look(false, at: .seconds(2)), .wait(for: Self.delay))
        check(look(false, urgent: true, at: .seconds(2) + .microseconds(1)), .commit)
    }

    @Test mutating func `what does not fit into one commit is committed at once after it`() {
        machine.committed(.more, at: .seconds(1))
        check(look(true, at: .seconds(1)), .commit)
        check(look(false, at: .seconds(1)), .commit)
        machine.committed(.done, at: .seconds(1))
        check(look(false, at: .seconds(1)), .wait(for: Self.delay))
    }

    @Test mutating func `a disk that refuses is asked once a second, however urgent it is`() {
        machine.committed(.blocked, at: .seconds(1))
        for isEmpty in [true, false] {
            for urgent in [true, false] {
                check(look(isEmpty, urgent: urgent, at: .seconds(1)), .wait(for: .seconds(1)))
                check(look(isEmpty, urgent: urgent, at: .milliseconds(1999)), .wait(for: .milliseconds(1)))
                check(look(isEmpty, urgent: urgent, at: .seconds(2)), .commit)
            }
        }
    }

    @Test mutating func `a quiet spool is looked at now and then`() {
        machine.committed(.done, at: .seconds(1))
        check(look(true, at: .seconds(1)), .wait(for: CommitStateMachine.idle))
        check(look(true, at: .seconds(4)), .wait(for: .seconds(2)))
        check(look(true, at: .seconds(6)), .commit)
    }
}

/// For what changes as it is asked.
private func check<Value: Equatable>(
    _ found: Value, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found == expected, sourceLocation: sourceLocation)
}
