import Testing

@testable import Proxy

@Suite struct `The age of a list` {
    @Test func `is told at half, at four fifths and at the end, once each`() {
        var machine = ListAgeStateMachine()
        var told: [Int64: ListAgeStateMachine.Stage] = [:]
        for now in Int64(0)...220 {
            if case .tell(let stage) = machine.looked(at: now, from: 100, to: 200) { told[now] = stage }
        }
        #expect(told == [150: .half, 180: .late, 200: .ended])
    }

    @Test func `starts where it is, and goes back with the clock`() {
        var machine = ListAgeStateMachine()
        #expect(machine.looked(at: 500, from: 100, to: 200) == .tell(.ended))
        #expect(machine.looked(at: 501, from: 100, to: 200) == .wait)
        #expect(machine.looked(at: 120, from: 100, to: 200) == .tell(.fresh))
    }

    @Test(arguments: [(Int64.min, Int64.max), (Int64(0), Int64.max), (Int64.min, Int64(0)), (Int64(-10), Int64(-5))])
    func `holds for any dates`(begin: Int64, end: Int64) {
        for now in [Int64.min, -7, 0, 1, .max] {
            let stage = ListAgeStateMachine.stage(at: now, from: begin, to: end)
            #expect((stage == .ended) == (now >= end))
        }
    }
}
