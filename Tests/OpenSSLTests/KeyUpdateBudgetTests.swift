import IO
import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `A server's session` {
    @Test func `lets a client replace its key a hundred times a second for ever, and a thousand times at once`() {
        var budget = KeyUpdateBudget()
        for _ in 0..<1000 { budget.arrived(atSecond: 7) }
        for second in 8..<100 {
            for _ in 0..<100 { budget.arrived(atSecond: second) }
            #expect(!budget.isExceeded)
        }
        budget.arrived(atSecond: 99)
        #expect(budget.isExceeded)

        var rested = KeyUpdateBudget()
        for second in [1, 11, 1 << 40] {
            for _ in 0..<1000 { rested.arrived(atSecond: second) }
            #expect(!rested.isExceeded)
        }
        rested.arrived(atSecond: 3)
        #expect(rested.isExceeded, "a clock that goes back brings nothing")
    }

    @Test func `ends when the client replaces its key without end`() throws {
        let pair = try TLSPair.established()
        pair.client.recordsPerKey = 1
        let plain = LaneBuffer(capacity: 64)
        var outcome = TLSReadOutcome.wantsInput
        var rounds = 0
        while rounds < 100_000, outcome == .wantsInput || outcome == .bytes(1) {
            _ = pair.client.write(from: LaneBuffer([1]))
            outcome = pair.server.read(into: plain)
            plain.removeAll()
            rounds += 1
        }
        #expect(outcome == .failed(KeyUpdateBudget.failure))
        #expect(rounds > KeyUpdateBudget.atOnce)
    }
}
