import Testing

@testable import OpenSSL

@Suite struct `The life of ticket keys` {
    private static let hour = TicketKeyStateMachine.period

    @Test func `is an hour of sealing, and another of opening`() {
        var machine = TicketKeyStateMachine(at: .seconds(7))
        #expect(machine.timePassed(to: .seconds(7)) == .keep)
        #expect(machine.timePassed(to: .seconds(6) + Self.hour) == .keep)
        #expect(machine.timePassed(to: .seconds(7) + Self.hour) == .rotate)
        #expect(machine.timePassed(to: .seconds(7) + Self.hour) == .keep)
        #expect(machine.timePassed(to: .seconds(6) + Self.hour * 2) == .keep)
        #expect(machine.timePassed(to: .seconds(7) + Self.hour * 2) == .rotate)
    }

    @Test func `does not grow longer because nobody looked`() {
        var late = TicketKeyStateMachine(at: .zero)
        // What was made in the first hour opens until the end of the second, and no longer.
        #expect(late.timePassed(to: Self.hour * 1.9) == .rotate)
        #expect(late.timePassed(to: Self.hour * 2) == .rotate)
        var later = TicketKeyStateMachine(at: .zero)
        #expect(later.timePassed(to: Self.hour * 2) == .replaceBoth)
        #expect(later.timePassed(to: Self.hour * 2.9) == .keep)
        #expect(later.timePassed(to: Self.hour * 100) == .replaceBoth)
    }

    /// Every key against what it may be used for, at each look of a clock that moves in steps of many sizes.
    @Test(arguments: [1, 7, 20, 59, 60, 61, 90, 119, 120, 121, 500])
    func `never lets a key be used beyond its time`(minutes: Int) {
        var machine = TicketKeyStateMachine(at: .zero)
        var (now, current, previous) = (Duration.zero, Duration.zero, Duration?.none)
        for _ in 0..<200 {
            now += .seconds(60 * minutes)
            switch machine.timePassed(to: now) {
            case .keep: break
            case .rotate: (previous, current) = (current, now)
            case .replaceBoth: (previous, current) = (nil, now)
            }
            #expect(now - current < Self.hour)
            #expect(previous.map { now - $0 < Self.hour * 2 } ?? true)
        }
    }
}
