import Synchronization
import TestSupport
import Testing

@testable import IO

@Suite struct `The heartbeats` {
    private func labels(_ prefix: String) -> [String] {
        Heartbeats.all.map(\.label).filter { $0.hasPrefix(prefix) }
    }

    @Test func `are of every lane and queue, from its making to its end, in that order`() async {
        do {
            let lane = Lane(label: "roll-lane")
            let queue = SerialQueue(label: "roll-queue", isPatient: true)
            let last = Lane(label: "roll-last")
            #expect(labels("roll-") == ["roll-lane", "roll-queue", "roll-last"])
            #expect(Heartbeats.all.filter { $0.label.hasPrefix("roll-") }.map(\.isPatient) == [false, true, false])
            #expect(queue.load.isPatient && !lane.load.isPatient)
            await last.stop()
        }
        // Whoever else lists them holds them for a moment.
        #expect(await eventually(within: 60) { labels("roll-") == [] })
    }

    @Test func `wait for their turn one at a time, however often a stuck queue is asked`() async {
        let queue = SerialQueue(label: "stuck-queue")
        let lane = Lane(label: "stuck-lane")
        let isHeld = Mutex(true)
        let held = Mutex(0)
        let hold: @Sendable () -> Void = {
            held.withLock { $0 += 1 }
            while isHeld.withLock({ $0 }) {}
        }
        queue.submit(hold)
        lane.enqueue(.body(hold))
        #expect(await eventually(within: 60) { held.withLock { $0 } == 2 })
        let before = lane.load.jobCount
        for _ in 0..<1000 { Heartbeats.beat() }
        #expect(await eventually(within: 60) { queue.load.lagSeconds > 0 && lane.load.lagSeconds > 0 })
        isHeld.withLock { $0 = false }
        #expect(await eventually(within: 60) { queue.load.lagSeconds == 0 && lane.load.lagSeconds == 0 })
        await lane.stop()
        // What held it, one heartbeat, and those that others may have sent meanwhile.
        #expect(lane.load.jobCount - before < 100)
    }
}
