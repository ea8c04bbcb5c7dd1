import IO
import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `A server's session` {
    @Test func `ends when the client replaces its key more than a hundred times a second`() throws {
        var budget = KeyUpdateBudget()
        for second in 0..<50 {
            for _ in 0..<100 { budget.arrived(atSecond: second) }
        }
        #expect(!budget.isExceeded)
        budget.arrived(atSecond: 49)
        #expect(budget.isExceeded)

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
        #expect(rounds > 100)
    }
}
