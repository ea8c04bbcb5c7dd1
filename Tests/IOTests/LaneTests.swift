import Synchronization
import TestSupport
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

    @Test func `that waits is woken at once by a job, not by the end of its wait`() async {
        let lane = Lane(label: "hot")
        let resident = Resident(lane)
        lane.start(resident)
        var times: [Duration] = []
        for round in 0..<400 { times.append(await ContinuousClock().measure { await resident.append(round) }) }
        // It blocks for 5 ms at a time: without the bell the median would be half of that or more.
        #expect(times.sorted()[times.count / 2] < .milliseconds(2))
        await lane.stop()
    }

    @Test func `runs what its own resident hands over in a poll after that poll`() async {
        let lane = Lane(label: "own")
        let resident = Resident(lane)
        lane.start(resident)
        resident.submit { resident in
            let target = Fired { _ in
                resident.submit { $0.append(2) }
                resident.assumeIsolated { $0.append(1) }
            }
            _ = resident.poller.schedule(after: .milliseconds(1), target)
        }
        #expect(await eventually(within: 60) { await resident.contents() == [1, 2] })
        await lane.stop()
    }

    @Test func `is as fast after 40,000 turns as it was at first`() async {
        let lane = Lane(label: "turns")
        let resident = Resident(lane)
        lane.start(resident)
        let marks = Mutex<[ContinuousClock.Instant]>([])
        /// One turn of the lane's loop after the other.
        @Sendable func turn(_ number: Int) {
            if number.isMultiple(of: 2000) { marks.withLock { $0.append(.now) } }
            if number < 40_000 { resident.submit { _ in turn(number + 1) } }
        }
        turn(0)
        #expect(await eventually(within: 120) { marks.withLock { $0.count } == 21 })
        let all = marks.withLock { $0 }
        let laps = zip(all, all.dropFirst()).map { $1 - $0 }
        // The best of the last against the middle of the first: a busy machine does not fail this, growth does.
        let early = laps.prefix(3).sorted()[1]
        let late = laps.suffix(5).min() ?? .seconds(1000)
        #expect(late < early * 4)
        await lane.stop()
    }

    @Test func `counts what its watchers and timers do as work`() async {
        let lane = Lane(label: "work")
        let resident = Resident(lane)
        lane.start(resident)
        let isDone = Mutex(false)
        resident.submit { resident in
            let target = Fired { _ in
                let end = ContinuousClock.now + .milliseconds(60)
                while ContinuousClock.now < end {}
                isDone.withLock { $0 = true }
            }
            _ = resident.poller.schedule(after: .milliseconds(1), target)
        }
        #expect(await eventually(within: 60) { isDone.withLock { $0 } })
        await lane.stop()
        #expect(lane.load.busySeconds >= 0.05)
        #expect(lane.load.jobCount >= 2)
    }

    @Test func `that does nothing is not busy`() async {
        let lane = Lane(label: "calm")
        let resident = Resident(lane)
        lane.start(resident)
        await resident.append(1)
        _ = await Alarm(label: "calm").wait(for: .milliseconds(300))
        #expect(lane.load.busySeconds < 0.15)
        await lane.stop()
    }

    @Test func `that was stopped lets its resident go`() async {
        weak var gone: Resident?
        let lane = Lane(label: "gone")
        do {
            let resident = Resident(lane)
            gone = resident
            lane.start(resident)
        }
        await lane.stop()
        #expect(await eventually(within: 60) { gone == nil })
    }

    @Test func `that was stopped still runs all that many threads hand over`() async {
        let lane = Lane(label: "after")
        let resident = Resident(lane)
        lane.start(resident)
        await withTaskGroup { group in
            for number in 0..<200 { group.addTask { await resident.append(number) } }
            group.addTask { await lane.stop() }
        }
        #expect(await resident.contents().sorted() == Array(0..<200))
    }

    @Test func `answers its heartbeat while it is cold, and shows the lag of one that is stuck`() async throws {
        let lane = Lane(label: "heart")
        lane.start(Resident(lane))
        lane.beat()
        let alarm = Alarm(label: "heart")
        #expect(await eventually(within: 60) { lane.load.lagSeconds == 0 })

        let release = Mutex(false)
        let hasBegun = Mutex(false)
        lane.enqueue(
            .body {
                hasBegun.withLock { $0 = true }
                while !release.withLock({ $0 }) {}
            })
        #expect(await eventually(within: 60) { hasBegun.withLock { $0 } })
        lane.beat()
        _ = await alarm.wait(for: .milliseconds(60))
        #expect(lane.load.lagSeconds >= 0.05)
        release.withLock { $0 = true }
        await lane.stop()
        // A test beside this one may have asked all lanes for a sign of life just now.
        #expect(await eventually(within: 60) { lane.load.lagSeconds == 0 })
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
        #expect(await eventually(within: 60) { fired.withLock { $0.count } >= 4 })
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
        for second in 0...10 {
            let now = start + .seconds(second)
            var last = start
            var isInOrder = true
            while let next = heap.earliest, heap.popDue(now) != nil {
                isInOrder = isInOrder && next >= last
                last = next
                count += 1
            }
            #expect(isInOrder)
            #expect(count == expected.count { $0 <= now })
        }
        #expect(count == expected.count)
    }
}

private actor Ledger: QueueConfined {
    nonisolated let queue: SerialQueue
    private var log: [Int] = []
    init(_ queue: SerialQueue) { self.queue = queue }
    func append(_ number: Int) { log.append(number) }
    func contents() -> [Int] { log }
}

@Suite struct `A serial queue` {
    @Test func `runs what one thread hands over in that order, and counts it`() async {
        let queue = SerialQueue(label: "ledger")
        let ledger = Ledger(queue)
        for number in 0..<5000 { ledger.submit { $0.append(number) } }
        #expect(await ledger.contents() == Array(0..<5000))
        #expect(queue.load.jobCount >= 5000)
    }

    @Test func `shows how late it is while a job blocks it`() async {
        let queue = SerialQueue(label: "blocked")
        let release = Alarm(label: "release")
        let isReleased = Mutex(false)
        queue.submit { while !isReleased.withLock({ $0 }) {} }
        queue.beat()
        _ = await release.wait(for: .milliseconds(60))
        #expect(queue.load.lagSeconds >= 0.05)
        isReleased.withLock { $0 = true }
        #expect(await eventually(within: 60) { queue.load.lagSeconds == 0 })
    }
}
