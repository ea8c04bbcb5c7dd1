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
/// While work keeps coming the lane is *hot*: it runs its jobs and blocks in `epoll_wait` itself. After a quiet spell
/// it goes *cold* and gives its thread back; then one dispatch source watches the epoll descriptor (a source for each
/// socket would cost a hop through libdispatch's manager thread per event). Jobs run between polls, in the order in
/// which they were handed over, never inside one.
///
/// `@unchecked Sendable`: all mutable state stands in mutexes and atomics, or is touched by the queue alone.
package final class Lane: SerialExecutor, Heartbeat, @unchecked Sendable {
    /// A hot lane blocks no longer than this at a time, so that its load figures stay fresh.
    private static let hotWait: Int32 = 5
    /// Empty waits before the lane goes cold.
    private static let quietLimit = 2

    package let label: String
    package var isPatient: Bool { false }
    let epoll: Int32
    let bell: Int32
    /// Wakes a cold lane for its next timer.
    let timer: Int32

    private let queue: DispatchQueue
    private let inbox = Mutex(Inbox())
    private let runner = Atomic<UInt>(0)
    private let gauge = LoadGauge()
    private let source: any DispatchSourceRead
    private let poll = Mutex<Poll?>(nil)

    private enum Phase { case cold, running, blocked, stopped }

    private struct Inbox {
        var jobs: [LaneJob] = []
        var phase = Phase.cold
        /// Rung since the lane last looked: once is enough.
        var isRung = false
        var isStopping = false
        var stopped: [CheckedContinuation<Void, Never>] = []
    }

    /// In a struct: a bare closure would be wrapped in two more thunks each time that the mutex lends it out, and after
    /// 20,000 times a call would cost 200 µs.
    private struct Poll: Sendable {
        let body: @Sendable (Int32) -> Int
    }

    private enum Step {
        case run([LaneJob])
        case poll(wait: Int32)
        case rest
        case stop([CheckedContinuation<Void, Never>])
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
        Heartbeats.enrol(self)
    }

    deinit {
        Heartbeats.strike(ObjectIdentifier(self))
        source.cancel()
    }

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
            poll = Poll { wait in resident.assumeIsolated { $0.poller.poll(timeout: wait) } }
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
        guard gauge.mayBeat() else { return }
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
            if inbox.phase == .running || inbox.isRung { return false }
            inbox.isRung = true
            return true
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
        gauge.becameBusy()
        if becameRunning() { loop() } else { runAfterStop() }
        gauge.becameIdle(after: 0)
        runner.store(0, ordering: .relaxed)
    }

    /// One lock a turn when only sockets have news: a lane may take thousands of turns a second.
    private func loop() {
        var quiet = 0
        var hasRun = false
        var untold = 0
        var poll: Poll?
        while true {
            if poll == nil { poll = self.poll.withLock { $0 } }
            if poll == nil { Poller.drain(bell) }
            switch nextStep(afterJobs: hasRun, mayPoll: poll != nil && quiet < Self.quietLimit) {
            case .run(let jobs):
                run(jobs)
                hasRun = true
                quiet = 0
            case .poll(let wait):
                if wait > 0 {
                    gauge.becameIdle(after: untold)
                    untold = 0
                }
                let handled = poll?.body(wait) ?? 0
                untold += handled
                quiet = handled == 0 ? quiet + 1 : 0
                hasRun = false
            case .rest: return gauge.becameIdle(after: untold)
            case .stop(let waiting):
                gauge.becameIdle(after: untold)
                poll = nil
                return finishStop(waiting)
            }
        }
    }

    /// False once it was stopped.
    private func becameRunning() -> Bool {
        inbox.withLock { inbox in
            if inbox.phase == .stopped { return false }
            inbox.phase = .running
            return true
        }
    }

    /// The poller says so when its wait is over, before it tells anybody: what its watchers do is work, and what they
    /// hand over needs no bell.
    func becameAwake(at moment: ContinuousClock.Instant) {
        gauge.becameBusy(at: moment)
        inbox.withLock { $0.phase = .running }
    }

    /// What was handed over first, then one look at the sockets, whatever else has been handed over meanwhile.
    private func nextStep(afterJobs hasRun: Bool, mayPoll: Bool) -> Step {
        inbox.withLock { inbox in
            guard inbox.jobs.isEmpty else {
                if hasRun, mayPoll { return .poll(wait: 0) }
                defer { inbox.jobs = [] }
                return .run(inbox.jobs)
            }
            inbox.isRung = false
            if inbox.isStopping {
                inbox.phase = .stopped
                defer { inbox.stopped = [] }
                return .stop(inbox.stopped)
            }
            inbox.phase = mayPoll ? .blocked : .cold
            return mayPoll ? .poll(wait: Self.hotWait) : .rest
        }
    }

    private func run(_ jobs: [LaneJob]) {
        for job in jobs {
            switch job {
            case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
            case .body(let body): body()
            }
        }
        gauge.ran(jobs.count)
    }

    private func finishStop(_ waiting: [CheckedContinuation<Void, Never>]) {
        // The resident goes outside of the lock: it may be the last to hold this lane.
        let resident = poll.withLock { poll in
            defer { poll = nil }
            return poll
        }
        withExtendedLifetime(resident) {
            for continuation in waiting { continuation.resume() }
        }
    }

    /// The bell falls silent first: who rings after that is served by the next call.
    private func runAfterStop() {
        Poller.drain(bell)
        let jobs = inbox.withLock { inbox in
            defer { inbox.jobs = [] }
            inbox.isRung = false
            return inbox.jobs
        }
        run(jobs)
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
