import Testing

@testable import IO

@Suite struct `Files that others write` {
    private func machine() -> FileSettlingStateMachine {
        FileSettlingStateMachine(quiet: .milliseconds(200), limit: .seconds(10))
    }

    @Test func `are looked at after a quiet spell, and only once`() {
        var machine = machine()
        #expect(machine.timePassed(to: .seconds(1)) == .rest)
        machine.stirred(at: .seconds(1))
        #expect(machine.timePassed(to: .seconds(1)) == .wait(until: .milliseconds(1200)))
        machine.stirred(at: .milliseconds(1100))
        #expect(machine.timePassed(to: .milliseconds(1200)) == .wait(until: .milliseconds(1300)))
        #expect(machine.timePassed(to: .milliseconds(1300)) == .look)
        #expect(machine.timePassed(to: .seconds(100)) == .rest)
    }

    @Test func `are not looked at while one is open for writing, but for a limited time`() {
        var machine = machine()
        machine.written("a", at: .zero)
        machine.written("b", at: .seconds(1))
        machine.closed("a", at: .seconds(2))
        #expect(machine.timePassed(to: .seconds(3)) == .wait(until: .seconds(10)))
        machine.closed("b", at: .seconds(4))
        #expect(machine.timePassed(to: .seconds(4)) == .wait(until: .milliseconds(4200)))
        #expect(machine.timePassed(to: .milliseconds(4200)) == .look)
        machine.written("a", at: .seconds(20))
        #expect(machine.timePassed(to: .milliseconds(29_999)) == .wait(until: .seconds(30)))
        #expect(machine.timePassed(to: .seconds(30)) == .look)
        #expect(machine.timePassed(to: .seconds(31)) == .rest)
    }

    @Test func `that never come to rest are looked at all the same`() {
        var machine = machine()
        for tenth in 0..<100 {
            let time = Duration.milliseconds(tenth * 100)
            machine.stirred(at: time)
            #expect(machine.timePassed(to: time) == .wait(until: min(time + .milliseconds(200), .seconds(10))))
        }
        #expect(machine.timePassed(to: .seconds(10)) == .look)
    }
}
