import Testing

@testable import nodeguard_plane

@Suite struct `A database that is away` {
    private typealias Machine = ReconnectionStateMachine

    @Test func `is tried again after pauses that double up to a limit, by one at a time`() {
        var machine = Machine()
        var now: Int64 = 0
        #expect(machine.wanted(at: now) == .connect && machine.wanted(at: now) == .connect)
        var pauses: [Int64] = []
        machine.failed(at: now)
        for _ in 0..<12 {
            let failed = now
            while machine.wanted(at: now) == .refuse { now += 1 }
            pauses.append(now - failed)
            // The others are told while it is being tried.
            for later in [now, now + 1, now + 10_000] { #expect(machine.wanted(at: later) == .refuse) }
            machine.failed(at: now)
        }
        #expect(pauses == [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000, 2000, 2000])
        #expect(machine.wanted(at: now + Machine.longestPause) == .connect)
        machine.connected()
        #expect(machine.wanted(at: now) == .connect && machine.wanted(at: now) == .connect)
        machine.failed(at: now)
        #expect(machine.wanted(at: now + Machine.firstPause) == .connect, "counted anew")
    }

    @Test func `counts attempts that fail together as one`() {
        var machine = Machine()
        for time in [0, 1, 5000] as [Int64] { machine.failed(at: time) }
        #expect(machine.wanted(at: 99) == .refuse && machine.wanted(at: 100) == .connect)
    }
}
