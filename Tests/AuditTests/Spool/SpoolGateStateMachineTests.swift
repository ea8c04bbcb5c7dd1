import Testing

@testable import Audit

@Suite struct `Who comes while the spool is full` {
    private var gate = SpoolGateStateMachine(closesAt: 95, opensAt: 88)

    @Test mutating func `is refused from the ceiling on, until there is real room`() {
        #expect(!gate.isClosed)
        for (waiting, isClosed) in [
            (94, false), (95, true), (89, true), (94, true), (88, false), (94, false), (1000, true), (0, false),
        ] as [(Int64, Bool)] {
            gate.written(waiting: waiting)
            #expect(gate.isClosed == isClosed, "\(waiting)")
        }
    }

    @Test(arguments: [0, 90, 95] as [Int64])
    mutating func `is refused while the disk refuses, and no longer`(waiting: Int64) {
        gate.written(waiting: waiting)
        let before = gate.isClosed
        gate.writingFailed()
        #expect(gate.isClosed)
        gate.written(waiting: waiting)
        #expect(gate.isClosed == before)
    }
}

@Suite struct `Events that found no room` {
    private var shortfall = ShortfallStateMachine()

    @Test mutating func `are told of with the first, once a minute while it lasts, and when there is room`() {
        check(shortfall.told(hasRoom: false, at: .seconds(1)), [:])
        shortfall.dropped([.connection: 2])
        check(shortfall.told(hasRoom: false, at: .seconds(1)), [.connection: 2])
        shortfall.dropped([.connection: 3, .agent: 1])
        shortfall.dropped([.connection: 4])
        check(shortfall.told(hasRoom: false, at: .seconds(60)), [:])
        check(shortfall.told(hasRoom: false, at: .seconds(61)), [.connection: 7, .agent: 1])
        shortfall.dropped([.backup: 1])
        check(shortfall.told(hasRoom: true, at: .milliseconds(61_900)), [:])
        check(shortfall.told(hasRoom: true, at: .seconds(62)), [.backup: 1])
        check(shortfall.told(hasRoom: true, at: .seconds(100)), [:])
    }

    @Test mutating func `of a day take few events`() {
        var told = 0
        var dropped: UInt64 = 0
        for second in 0..<86_400 {
            shortfall.dropped([.connection: 5])
            dropped += 5
            for count in shortfall.told(hasRoom: false, at: .seconds(second)).values {
                told += 1
                dropped -= count
            }
        }
        #expect(told == 1440)
        #expect(shortfall.counts == [.connection: dropped])
    }
}

/// For what changes as it is asked.
private func check<Value: Equatable>(
    _ found: Value, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found == expected, sourceLocation: sourceLocation)
}
