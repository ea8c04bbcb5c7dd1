import Synchronization
import Testing

@testable import IO

/// A resident that counts what its poller tells it.
private actor Resident: LaneResident {
    nonisolated let lane: Lane
    let poller: Poller
    private var log: [Int] = []

    init(_ lane: Lane) {
        self.lane = lane
        poller = Poller(lane: lane)
    }

    func append(_ number: Int) { log.append(number) }
    func contents() -> [Int] { log }
}

private final class Fired: TimerTarget {
    let record: @Sendable (TimerToken) -> Void
    init(_ record: @escaping @Sendable (TimerToken) -> Void) { self.record = record }
    func timerFired(_ token: TimerToken) { record(token) }
}

@Suite struct `A lane` {
    @Test func `runs what one thread hands over in that order`() async {
        let lane = Lane(label: "order")
        let resident = Resident(lane)
        lane.start(resident)
        for number in 0..<20_000 { resident.submit { $0.append(number) } }
        #expect(await resident.contents() == Array(0..<20_000))
        await lane.stop()
    }

    @Test func `answers again after it went cold, a thousand times`() async {
        let lane = Lane(label: "cold")
        let resident = Resident(lane)
        lane.start(resident)
        for round in 0..<1000 {
            await resident.append(round)
            if round.isMultiple(of: 100) { _ = await Alarm(label: "pause").wait(for: .milliseconds(30)) }
        }
        #expect(await resident.contents().count == 1000)
        await lane.stop()
    }

    @Test func `answers its heartbeat while it is cold, and shows the lag of one that is stuck`() async throws {
        let lane = Lane(label: "heart")
        lane.start(Resident(lane))
        lane.beat()
        let alarm = Alarm(label: "heart")
        for _ in 0..<100 where lane.load.lagSeconds > 0 { _ = await alarm.wait(for: .milliseconds(10)) }
        #expect(lane.load.lagSeconds == 0)

        let release = Mutex(false)
        lane.enqueue(.body { while !release.withLock({ $0 }) {} })
        lane.beat()
        _ = await alarm.wait(for: .milliseconds(60))
        #expect(lane.load.lagSeconds >= 0.05)
        release.withLock { $0 = true }
        await lane.stop()
        #expect(lane.load.lagSeconds == 0)
        #expect(lane.load.busySeconds >= 0.05)
    }

    @Test func `stops once, and stopping again returns at once`() async {
        let lane = Lane(label: "stop")
        let resident = Resident(lane)
        lane.start(resident)
        await lane.stop()
        await lane.stop()
        await resident.append(1)
        #expect(await resident.contents() == [1])
    }

    @Test func `lets no other thread claim to be on it`() async {
        let lane = Lane(label: "claim")
        #expect(lane.isIsolatingCurrentContext() == false)
    }

    @Test func `fires timers in the order of their deadlines, and none that was cancelled`() async {
        let lane = Lane(label: "timers")
        let resident = Resident(lane)
        lane.start(resident)
        let fired = Mutex<[TimerToken]>([])
        let tokens = Mutex<[TimerToken]>([])
        resident.submit { resident in
            for milliseconds in [40, 10, 30, 20, 25] {
                let target = Fired { token in fired.withLock { $0.append(token) } }
                let token = resident.poller.schedule(after: .milliseconds(milliseconds), target)
                tokens.withLock { $0.append(token) }
            }
            resident.poller.cancel(tokens.withLock { $0[4] })
        }
        let alarm = Alarm(label: "timers")
        for _ in 0..<200 where fired.withLock({ $0.count }) < 4 { _ = await alarm.wait(for: .milliseconds(10)) }
        let all = tokens.withLock { $0 }
        #expect(fired.withLock { $0 } == [all[1], all[3], all[2], all[0]])
        await lane.stop()
    }
}

@Suite struct `The timer heap` {
    @Test func `gives every timer once, in order, whatever is cancelled in between`() {
        var heap = TimerHeap()
        var numbers = SystemRandomNumberGenerator()
        let start = ContinuousClock.now
        let target = Fired { _ in }
        var expected: [ContinuousClock.Instant] = []
        for round in 0..<5000 {
            let deadline = start + .milliseconds(Int.random(in: 0..<10_000, using: &numbers))
            let token = heap.add(deadline: deadline, target)
            if round % 3 == 0 { heap.cancel(token) } else { expected.append(deadline) }
        }
        var count = 0
        var last = start
        for second in 0...10 {
            let now = start + .seconds(second)
            while heap.popDue(now) != nil {
                count += 1
                #expect(heap.earliest.map { $0 >= last } ?? true)
                last = heap.earliest.map { min($0, now) } ?? last
            }
            #expect(count == expected.count { $0 <= now })
        }
        #expect(count == expected.count)
    }
}
