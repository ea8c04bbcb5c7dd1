import Testing

@testable import Audit

@Suite struct `The shipping state machine` {
    typealias Machine = ShippingStateMachine

    @Test func `registers the key before the first batch`() {
        var machine = Machine()
        #expect(machine.spoolObserved(view(committed: 0, isRegistered: false), at: .zero) == .wait(until: nil))
        #expect(machine.spoolObserved(view(committed: 1, isRegistered: false), at: .zero) == .registerKey)
        #expect(machine.spoolObserved(view(committed: 2, isRegistered: false), at: .zero) == .wait(until: nil))
        #expect(machine.answered(.keyRegistered, at: .zero, jitter: 0) == .wait(until: .milliseconds(500)))
    }

    @Test func `lets events wait half a second for company, not longer`() {
        var machine = Machine()
        #expect(machine.spoolObserved(view(committed: 1), at: .seconds(1)) == .wait(until: .milliseconds(1500)))
        #expect(
            machine.spoolObserved(view(committed: 999), at: .milliseconds(1499)) == .wait(until: .milliseconds(1500)))
        #expect(
            machine.spoolObserved(view(committed: 999), at: .milliseconds(1500)) == .send(first: 1, count: 1000))
    }

    @Test func `sends a full batch at once, by number or by size`() {
        var machine = Machine()
        #expect(machine.spoolObserved(view(committed: 1000), at: .zero) == .send(first: 1, count: 1000))
        machine = Machine()
        var large = view(committed: 2)
        large.waitingBytes = Machine.batchBytes
        #expect(machine.spoolObserved(large, at: .zero) == .send(first: 1, count: 1000))
    }

    @Test func `goes on after an acknowledgement, where it ends`() {
        var machine = sending(committed: 2500, last: 1000)
        #expect(machine.answered(.acknowledged(1000), at: .zero, jitter: 0) == .send(first: 1001, count: 1000))
        machine.batchMade(last: 2000)
        #expect(machine.answered(.acknowledged(1500), at: .zero, jitter: 0) == .send(first: 1501, count: 500))
        machine.batchMade(last: 2000)
        #expect(machine.answered(.acknowledged(2000), at: .zero, jitter: 0) == .wait(until: .milliseconds(500)))
    }

    @Test func `sends a batch that was signed before again as it was`() {
        var machine = Machine()
        var restarted = view(committed: 5000)
        restarted.acknowledged = 100
        restarted.offered = 350
        #expect(machine.spoolObserved(restarted, at: .zero) == .send(first: 101, count: 250))
    }

    @Test func `believes no acknowledgement of what it did not send`() {
        for last: UInt64 in [0, 1001, 2000, 3000, .max] {
            var machine = sending(committed: 2500, last: 1000)
            #expect(machine.answered(.acknowledged(last), at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
            #expect(machine.failures == 1)
        }
    }

    @Test func `waits with full jitter, up to a limit that doubles to a minute`() {
        let limits = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
        for jitter in [0, 0.25, 0.5, 1] {
            var machine = sending(committed: 1000, last: 1000)
            for limit in limits {
                let action = machine.answered(.unavailable(reason: "away"), at: .seconds(100), jitter: jitter)
                #expect(action == .wait(until: .seconds(100) + .seconds(limit) * jitter))
                resend(&machine, committed: 1000, last: 1000)
            }
            _ = machine.answered(.acknowledged(1000), at: .zero, jitter: 0)
            #expect(machine.failures == 0)
        }
    }

    @Test func `keeps everything and asks for ever while the plane is away`() {
        var machine = sending(committed: 1000, last: 1000)
        for round in 1...10_000 {
            _ = machine.answered(.unavailable(reason: "away"), at: .zero, jitter: 0)
            #expect(machine.failures == round)
            let action = machine.spoolObserved(view(committed: 1000 + UInt64(round)), at: .seconds(1000))
            #expect(action == .send(first: 1, count: 1000))
            machine.batchMade(last: 1000)
        }
    }

    @Test func `honours Retry-After, but not beyond ten minutes`() {
        for (asked, waited) in [(7, 7), (600, 600), (86_400, 600)] {
            var machine = sending(committed: 1000, last: 1000)
            let action = machine.answered(.busy(retryAfter: .seconds(asked)), at: .seconds(5), jitter: 0)
            #expect(action == .wait(until: .seconds(5 + waited)))
            #expect(
                machine.spoolObserved(view(committed: 2000), at: .seconds(4 + waited))
                    == .wait(until: .seconds(5 + waited)))
        }
        var machine = sending(committed: 1000, last: 1000)
        #expect(machine.answered(.busy(retryAfter: nil), at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
    }

    @Test func `halves a batch that is too large, and grows it again`() {
        var machine = sending(committed: 5000, last: 1000)
        for count: UInt64 in [500, 250, 125, 62, 31, 15, 7, 3] {
            #expect(machine.answered(.tooLarge, at: .zero, jitter: 1) == .send(first: 1, count: count))
            machine.batchMade(last: count)
        }
        #expect(machine.answered(.tooLarge, at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
        #expect(machine.spoolObserved(view(committed: 5000), at: .seconds(1)) == .send(first: 1, count: 1))
        machine.batchMade(last: 1)
        #expect(machine.answered(.acknowledged(1), at: .zero, jitter: 0) == .send(first: 2, count: 2))
    }

    @Test func `goes on where the plane is when an answer was lost`() {
        var machine = sending(committed: 1000, last: 1000)
        #expect(
            machine.answered(.conflict(next: 601), at: .seconds(9), jitter: 0) == .send(first: 601, count: 400))
        machine.batchMade(last: 1000)
        #expect(machine.answered(.acknowledged(1000), at: .seconds(9), jitter: 0) == .wait(until: nil))
    }

    @Test func `does not ask a plane that keeps on contradicting faster than one that is away`() {
        var machine = sending(committed: 1000, last: 1000)
        #expect(machine.answered(.conflict(next: 601), at: .zero, jitter: 1) == .send(first: 601, count: 400))
        machine.batchMade(last: 1000)
        #expect(machine.answered(.conflict(next: 301), at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
        var offered = view(committed: 1000)
        offered.offered = 1000
        #expect(machine.spoolObserved(offered, at: .seconds(1)) == .send(first: 301, count: 700))
        machine.batchMade(last: 1000)
        #expect(machine.answered(.conflict(next: 301), at: .zero, jitter: 1) == .wait(until: .seconds(1)))
    }

    @Test func `begins a new log when the plane has events that it never sent`() {
        var machine = sending(committed: 1000, last: 1000)
        let action = machine.answered(.conflict(next: 1002), at: .zero, jitter: 0)
        guard case .beginEpoch = action else { return #expect(Bool(false), "\(action)") }
        #expect(machine.spoolObserved(view(committed: 1000), at: .seconds(900)) == action)
        #expect(
            machine.spoolObserved(view(epoch: 2, committed: 1), at: .seconds(901))
                == .wait(until: .milliseconds(901_500)))
    }

    @Test func `begins a new log when the plane lost events that it had acknowledged`() {
        var machine = Machine()
        var before = view(committed: 1000)
        before.acknowledged = 500
        _ = machine.spoolObserved(before, at: .zero)
        #expect(machine.spoolObserved(before, at: .seconds(1)) == .send(first: 501, count: 1000))
        machine.batchMade(last: 1000)
        guard case .beginEpoch = machine.answered(.conflict(next: 1), at: .zero, jitter: 0) else {
            return #expect(Bool(false))
        }
    }

    @Test func `does not fill the disk with new logs for a plane that refuses each`() {
        var machine = sending(committed: 1000, last: 1000)
        _ = machine.answered(.conflict(next: 5000), at: .zero, jitter: 0)
        _ = machine.spoolObserved(view(epoch: 2, committed: 1000, isRegistered: false), at: .zero)
        let action = machine.answered(.invalid(reason: "key-differs"), at: .zero, jitter: 0)
        guard case .stop = action else { return #expect(Bool(false), "\(action)") }
    }

    @Test func `stops for good when the plane says that the proof is wrong`() {
        var machine = sending(committed: 1000, last: 1000)
        #expect(machine.answered(.invalid(reason: "root"), at: .zero, jitter: 0) == .stop(reason: "root"))
        #expect(machine.spoolObserved(view(committed: 9000), at: .seconds(86_400)) == .stop(reason: "root"))
        #expect(machine.failures == 1)
        #expect(machine.spoolObserved(view(epoch: 2, committed: 1000), at: .zero) == .send(first: 1, count: 1000))
    }

    @Test func `registers the key again when the plane does not know it any more`() {
        var machine = sending(committed: 1000, last: 1000)
        #expect(machine.answered(.keyUnknown, at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
        #expect(machine.spoolObserved(view(committed: 1000), at: .seconds(1)) == .registerKey)
        #expect(machine.answered(.keyRegistered, at: .seconds(1), jitter: 0) == .send(first: 1, count: 1000))
    }

    @Test func `tries again when the spool cannot make a batch`() {
        var machine = Machine()
        #expect(machine.spoolObserved(view(committed: 1000), at: .zero) == .send(first: 1, count: 1000))
        #expect(machine.batchFailed(at: .zero, jitter: 1) == .wait(until: .milliseconds(500)))
        #expect(machine.spoolObserved(view(committed: 1000), at: .seconds(1)) == .send(first: 1, count: 1000))
    }

    // MARK: scenery

    private func view(
        epoch: UInt64 = 1, committed: UInt64, isRegistered: Bool = true
    ) -> SpoolView {
        SpoolView(
            epoch: epoch, acknowledged: 0, committed: committed, waitingBytes: 100, offered: 0,
            isRegistered: isRegistered)
    }

    private func sending(committed: UInt64, last: UInt64) -> Machine {
        var machine = Machine()
        resend(&machine, committed: committed, last: last)
        return machine
    }

    private func resend(_ machine: inout Machine, committed: UInt64, last: UInt64) {
        let action = machine.spoolObserved(view(committed: committed), at: .seconds(1000))
        #expect(action == .send(first: 1, count: 1000))
        machine.batchMade(last: last)
    }
}
