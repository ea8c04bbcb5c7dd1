import Testing

@testable import Proxy

@Suite struct `Refusals of strangers` {
    private typealias Machine = RefusalGroupsStateMachine<Int>
    private var machine = Machine()

    @Test mutating func `are told of at once, and then once a second with their count`() {
        check(machine.refused(1, at: .zero), .report)
        for millisecond in 1...5 { check(machine.refused(1, at: .milliseconds(millisecond)), .count) }
        check(machine.refused(2, at: .milliseconds(500)), .report)
        check(machine.ticked(at: .milliseconds(999)), [])
        check(machine.ticked(at: .seconds(1)), [.init(group: 1, count: 5)])
        check(machine.refused(1, at: .milliseconds(1500)), .count)
        check(machine.ticked(at: .milliseconds(1999)), [])
        check(machine.ticked(at: .seconds(2)), [.init(group: 1, count: 1)])
    }

    @Test mutating func `are told of at once again after a quiet second`() {
        check(machine.refused(1, at: .zero), .report)
        check(machine.ticked(at: .seconds(1)), [])
        check(machine.refused(1, at: .seconds(1)), .report)
    }

    @Test mutating func `are counted together where there are too many groups`() {
        for group in 0..<Machine.groupLimit { check(machine.refused(group, at: .zero), .report) }
        for group in 0..<50 { check(machine.refused(1000 + group, at: .milliseconds(group)), .count) }
        check(machine.ticked(at: .milliseconds(500)), [])
        // The groups were quiet and make room.
        check(machine.ticked(at: .seconds(1)), [])
        check(machine.refused(2000, at: .seconds(1)), .report)
        check(machine.ticked(at: Machine.restWindow), [.init(group: nil, count: 50)])
        check(machine.ticked(at: Machine.restWindow * 3), [])
    }

    @Test mutating func `wait for their turn and go on counting when more is told of than may be`() {
        for _ in 0..<Machine.eventsAtOnce { check(machine.spend(at: .zero), true) }
        check(machine.spend(at: .zero), false)
        check(machine.refused(1, at: .zero), .count)
        check(machine.refused(2, at: .milliseconds(1)), .count)
        check(machine.ticked(at: .milliseconds(999)), [])
        // One event a second: who has waited longest comes first.
        check(machine.ticked(at: .milliseconds(1001)), [.init(group: 1, count: 1)])
        check(machine.refused(1, at: .milliseconds(1500)), .count)
        check(machine.refused(2, at: .milliseconds(1501)), .count)
        check(machine.ticked(at: .milliseconds(2001)), [.init(group: 2, count: 2)])
        check(machine.ticked(at: .milliseconds(3001)), [.init(group: 1, count: 1)])
    }

    @Test mutating func `may come at once again after a quiet time, and no more than before`() {
        for _ in 0..<Machine.eventsAtOnce { _ = machine.spend(at: .zero) }
        let later = Duration.seconds(1_000_000)
        for _ in 0..<Machine.eventsAtOnce { check(machine.spend(at: later), true) }
        check(machine.spend(at: later), false)
        check(machine.spend(at: later + .milliseconds(900)), false)
        check(machine.spend(at: later + .seconds(1)), true)
    }

    @Test(arguments: [1, 3, 300, 100_000])
    mutating func `are all told of in the end, each once`(prefixes: Int) {
        var told = 0
        var events = 0
        var refused = 0
        for step in 0..<20_000 {
            let time = Duration.milliseconds(step * 7)
            refused += 1
            if machine.refused(step &* 7919 % prefixes, at: time) == .report { (told, events) = (told + 1, events + 1) }
            guard step % 143 == 0 else { continue }
            for sum in machine.ticked(at: time) { (told, events) = (told + sum.count, events + 1) }
        }
        #expect(events <= Machine.eventsAtOnce + 140)
        for sum in machine.ended() { told += sum.count }
        #expect(told == refused)
        check(machine.ended(), [])
    }
}

/// For what changes as it is asked.
private func check<Value: Equatable>(
    _ found: Value, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found == expected, sourceLocation: sourceLocation)
}
