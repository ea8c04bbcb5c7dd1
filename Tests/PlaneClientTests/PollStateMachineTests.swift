import Testing

@testable import PlaneClient

@Suite struct `Asking the plane for news` {
    private typealias Machine = PollStateMachine
    private static let randoms = [0.0, 0.25, 0.5, 0.75, 0.999]

    @Test func `goes on at once where the plane waits for news`() {
        for failures in 0...3 {
            var machine = Machine()
            for _ in 0..<failures { _ = machine.failed(retryAfter: nil, random: 0.5) }
            #expect(machine.answered(isAwaited: true, took: 50, random: 0.5) == 0)
            #expect(machine.answered(isAwaited: true, took: 1, random: 0) == 0)
            #expect(machine.failures == 0)
        }
    }

    @Test func `is no more than one question in a second, whatever the plane says of itself`() {
        var machine = Machine()
        for took in stride(from: -1.0, through: 2, by: 0.125) {
            let pause = machine.answered(isAwaited: true, took: took, random: 0.5)
            #expect(pause >= 0 && pause <= 1)
            #expect(max(0, took) + pause >= 1)
        }
    }

    @Test func `is done every minute where it does not, each node at its own time`() {
        var machine = Machine()
        let pauses = Self.randoms.map { machine.answered(isAwaited: false, took: 0.1, random: $0) }
        #expect(pauses.allSatisfy { (48.0...72.0).contains($0) })
        #expect(pauses == pauses.sorted() && Set(pauses).count == pauses.count)
    }

    @Test func `after a failure is done soon, and later each time, up to a minute`() {
        for random in Self.randoms {
            var machine = Machine()
            var before = 0.0
            for times in 1...100 {
                let pause = machine.failed(retryAfter: nil, random: random)
                #expect(machine.failures == times)
                #expect(pause >= before && pause <= 72)
                before = pause
            }
            #expect(before >= 48)
            #expect(machine.answered(isAwaited: true, took: 2, random: random) == 0)
            #expect(machine.failed(retryAfter: nil, random: random) <= 2.4)
        }
    }

    @Test func `waits as long as the plane asks for, within an hour`() {
        var machine = Machine()
        #expect(machine.failed(retryAfter: 300, random: 0.5) == 300)
        #expect(machine.failed(retryAfter: 172_800, random: 0.5) == 3600)
        #expect(machine.failed(retryAfter: 1e9, random: 0) == 3600)
        #expect(machine.failed(retryAfter: 1, random: 0.5) > 1)
    }
}
