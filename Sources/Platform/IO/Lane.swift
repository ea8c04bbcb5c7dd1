import CLinux
import Dispatch
import Glibc
import Synchronization

/// How urgently a lane's thread is scheduled. Handshake lanes are `low`, so that live sessions are served first.
package enum LanePriority: Sendable {
    case normal, low

    fileprivate var qualityOfService: DispatchQoS { self == .normal ? .userInitiated : .utility }
}

/// A serial dispatch queue with one epoll descriptor: the executor of one actor and of all the plain objects in it.
///
/// While work keeps coming the lane is *hot*: it runs its jobs and blocks in `epoll_wait` itself. After a quiet spell it
/// goes *cold* and gives its thread back; then one dispatch source watches the epoll descriptor (a source for each socket
/// would cost a hop through libdispatch's manager thread per event). Jobs run between polls, in the order in which
/// they were handed over, never inside one.
///
/// `@unchecked Sendable`: all mutable state stands in mutexes and atomics, or is touched by the queue alone.
package final class Lane: SerialExecutor, Heartbeat, @unchecked Sendable {
    /// A hot lane blocks no longer than this at a time, so that its load figures stay fresh.
    private static let hotWait: Int32 = 5
    /// Empty waits before the lane goes cold.
    private static let quietLimit = 2

    package let label: String
    let epoll: Int32
    let bell: Int32
    /// Wakes a cold lane for its next timer.
    let timer: Int32

    private let queue: DispatchQueue
    private let inbox = Mutex(Inbox())
    private let runner = Atomic<UInt>(0)
    private let gauge = LoadGauge()
    private let source: any DispatchSourceRead
    private let poll = Mutex<(@Sendable (Int32) -> Int)?>(nil)

    private enum Phase { case cold, running, blocked, stopped }

    private struct Inbox {
        var jobs: [LaneJob] = []
        var phase = Phase.cold
        var isStopping = false
        var stopped: [CheckedContinuation<Void, Never>] = []
    }

    package init(label: String, priority: LanePriority = .normal) {
        self.label = label
        epoll = CLinux_epoll()
        bell = CLinux_bell()
        timer = CLinux_timer()
        precondition(epoll >= 0 && bell >= 0 && timer >= 0, "no descriptors left for a lane")
        queue = DispatchQueue(label: "nodeguard.\(label)", qos: priority.qualityOfService)
        source = DispatchSource.makeReadSource(fileDescriptor: epoll, queue: queue)
        add(bell, Poller.bellKey)
        add(timer, Poller.timerKey)
        let epoll = self.epoll
        let bell = self.bell
        let timer = self.timer
        // The descriptor may be closed only after libdispatch has let go of it.
        source.setCancelHandler { for descriptor in [epoll, bell, timer] { close(descriptor) } }
        source.setEventHandler { [weak self] in self?.run() }
        source.activate()
    }

    deinit { source.cancel() }

    private func add(_ descriptor: Int32, _ key: UInt64) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = key
        epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
    }

    /// Joins the lane's one actor; its poller is polled from now on, and it is kept until `stop`.
    package func start(_ resident: some LaneResident) {
        poll.withLock { poll in
            precondition(poll == nil, "a lane has one resident")
            poll = { wait in resident.assumeIsolated { $0.poller.poll(timeout: wait) } }
        }
        ring()
    }

    /// Runs what was handed over before, then lets the resident go. Whatever comes later is run without polling.
    package func stop() async {
        await withCheckedContinuation { continuation in
            let isStopped = inbox.withLock { inbox in
                if inbox.phase == .stopped { return true }
                inbox.isStopping = true
                inbox.stopped.append(continuation)
                return false
            }
            if isStopped { continuation.resume() } else { ring() }
        }
    }

    package var load: QueueLoad { gauge.load(label: label) }

    package func beat() {
        gauge.heartbeatSent()
        enqueue(.body { [gauge] in gauge.heartbeatAnswered() })
    }

    // MARK: SerialExecutor

    package func enqueue(_ job: consuming ExecutorJob) { enqueue(.job(UnownedJob(job))) }

    package func isIsolatingCurrentContext() -> Bool? { runner.load(ordering: .relaxed) == currentThread() }

    package func checkIsolated() {
        precondition(isIsolatingCurrentContext() == true, "not on lane \(label)")
    }

    func enqueue(_ job: LaneJob) {
        let mustRing = inbox.withLock { inbox in
            inbox.jobs.append(job)
            return inbox.phase != .running
        }
        if mustRing { ring() }
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    // MARK: the loop

    private func run() {
        runner.store(currentThread(), ordering: .relaxed)
        defer { runner.store(0, ordering: .relaxed) }
        inbox.withLock { if $0.phase != .stopped { $0.phase = .running } }
        gauge.becameBusy()
        var quiet = 0
        while true {
            let ran = runJobs()
            if finishStopping() { return gauge.becameIdle() }
            guard let poll = poll.withLock({ $0 }) else {
                Poller.drain(bell)
                if goCold() { return }
                continue
            }
            let isBlocking = inbox.withLock { inbox in
                if inbox.jobs.isEmpty { inbox.phase = .blocked }
                return inbox.jobs.isEmpty
            }
            if isBlocking { gauge.becameIdle() }
            let handled = poll(isBlocking ? Self.hotWait : 0)
            if isBlocking {
                gauge.becameBusy()
                inbox.withLock { $0.phase = .running }
            }
            quiet = handled == 0 && ran == 0 ? quiet + 1 : 0
            if quiet >= Self.quietLimit, goCold() { return }
        }
    }

    private func runJobs() -> Int {
        let jobs = inbox.withLock { inbox in
            defer { inbox.jobs = [] }
            return inbox.jobs
        }
        for job in jobs {
            switch job {
            case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
            case .body(let body): body()
            }
        }
        gauge.ran(jobs.count)
        return jobs.count
    }

    private func goCold() -> Bool {
        let isCold = inbox.withLock { inbox in
            guard inbox.jobs.isEmpty, !inbox.isStopping else { return false }
            inbox.phase = .cold
            return true
        }
        if isCold { gauge.becameIdle() }
        return isCold
    }

    private func finishStopping() -> Bool {
        let waiting = inbox.withLock { inbox -> [CheckedContinuation<Void, Never>]? in
            if inbox.phase == .stopped { return [] }
            guard inbox.isStopping, inbox.jobs.isEmpty else { return nil }
            inbox.phase = .stopped
            defer { inbox.stopped = [] }
            return inbox.stopped
        }
        guard let waiting else { return false }
        Poller.drain(bell)
        poll.withLock { $0 = nil }
        for continuation in waiting { continuation.resume() }
        return true
    }
}

enum LaneJob: Sendable {
    case job(UnownedJob)
    case body(@Sendable () -> Void)
}

@inline(__always)
func currentThread() -> UInt { UInt(pthread_self()) }

/// An actor whose executor is a lane.
package protocol LaneConfined: Actor {
    nonisolated var lane: Lane { get }
}

extension LaneConfined {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Hands `body` over; bodies run in the order in which one thread handed them over, unlike tasks.
    package nonisolated func submit(_ body: @escaping @Sendable (isolated Self) -> Void) {
        lane.enqueue(.body { self.assumeIsolated(body) })
    }
}

/// The one actor that lives on a lane and owns its poller.
package protocol LaneResident: LaneConfined {
    var poller: Poller { get }
}
