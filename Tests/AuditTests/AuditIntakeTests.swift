import IO
import Reports
import Testing

@testable import Audit

@Suite struct `The intake` {
    private let intake = AuditIntake()

    @Test func `gives events back in their order`() {
        for number in 1...5000 { intake.report(event(number)) }
        var numbers: [Int] = []
        while !intake.isEmpty { numbers += intake.take().events.compactMap(number) }
        #expect(numbers == Array(1...5000))
    }

    @Test func `is bounded, keeps room for security events, and counts what found none`() {
        let limit = AuditIntake.eventLimit - AuditIntake.securityReserve
        for number in 1...limit + 10 { #expect(intake.report(event(number)) == (number <= limit)) }
        #expect(intake.report(event(0, .controlCall)))
        for _ in 0..<AuditIntake.securityReserve { intake.report(event(0, .controlCall)) }
        #expect(intake.take().lost == [.connection: 10, .security: 1])
        #expect(intake.take().lost == [:])
        #expect(intake.report(event(1)))
    }

    @Test func `is bounded by bytes, too`() {
        var taken = 0
        while intake.report(event(taken, padding: 100_000)), taken < 1000 { taken += 1 }
        #expect((250...340).contains(taken))
        #expect(intake.report(event(0, .controlCall)))
        let first = intake.take()
        #expect((5...11).contains(first.events.count))
        #expect(intake.report(event(taken, padding: 100_000)))
    }

    @Test func `gives an event that is larger than a commit alone`() {
        intake.report(event(1, padding: 3 << 20))
        intake.report(event(2))
        #expect(intake.take().events.compactMap(number) == [1])
        #expect(intake.take().events.compactMap(number) == [2])
    }

    @Test func `rings for the first event, and for one that must not wait`() async {
        intake.report(event(1))
        #expect(await intake.alarm.wait(for: .seconds(20)) == .rung)
        #expect(!intake.isUrgent)
        intake.report(event(2))
        #expect(await intake.alarm.wait(for: .milliseconds(1)) == .elapsed)
        intake.report(event(3, .certificateFailed))
        #expect(await intake.alarm.wait(for: .seconds(20)) == .rung)
        #expect(intake.isUrgent)
        _ = intake.take()
        #expect(!intake.isUrgent)
    }

    @Test func `takes nothing after it was closed, and counts that`() async {
        intake.report(event(1))
        intake.close()
        #expect(!intake.report(event(2)))
        #expect(intake.isClosed)
        let taken = intake.take()
        #expect(taken.events.compactMap(number) == [1] && taken.lost == [.connection: 1])
    }

    @Test func `loses nothing of many threads`() async {
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<8 {
                group.addTask { for number in 0..<1000 { intake.report(event(thread * 1000 + number)) } }
            }
        }
        var numbers: [Int] = []
        while !intake.isEmpty { numbers += intake.take().events.compactMap(number) }
        #expect(numbers.sorted() == Array(0..<8000))
    }

    private func number(_ event: AuditEvent) -> Int? {
        if case .integer(let number)? = event.fields["number"] { Int(number) } else { nil }
    }
}
