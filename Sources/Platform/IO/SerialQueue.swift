import Dispatch
import Synchronization

/// A serial dispatch queue as the executor of a job's control actor. Blocking calls (files, SQLite) are allowed here
/// and nowhere else.
package final class SerialQueue: SerialExecutor, Heartbeat, Sendable {
    package let label: String
    package let isPatient: Bool
    private let queue: DispatchQueue
    private let runner = Atomic<UInt>(0)
    private let gauge = LoadGauge()

    /// `isPatient`: its work waits for a disk or a producer, which may hang without harm to the rest of the process.
    package init(label: String, isPatient: Bool = false) {
        self.label = label
        self.isPatient = isPatient
        queue = DispatchQueue(label: "nodeguard.\(label)")
        Heartbeats.enrol(self)
    }

    deinit { Heartbeats.strike(ObjectIdentifier(self)) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { self.run { job.runSynchronously(on: self.asUnownedSerialExecutor()) } }
    }

    package func submit(_ body: @escaping @Sendable () -> Void) {
        queue.async { self.run(body) }
    }

    package func isIsolatingCurrentContext() -> Bool? { runner.load(ordering: .relaxed) == currentThread() }

    package func checkIsolated() {
        precondition(isIsolatingCurrentContext() == true, "not on queue \(label)")
    }

    package var load: QueueLoad { gauge.load(label: label, isPatient: isPatient) }

    package func beat() {
        guard gauge.mayBeat() else { return }
        queue.async { [gauge] in gauge.heartbeatAnswered() }
    }

    private func run(_ body: () -> Void) {
        runner.store(currentThread(), ordering: .relaxed)
        gauge.becameBusy()
        body()
        gauge.becameIdle(after: 1)
        runner.store(0, ordering: .relaxed)
    }
}

/// An actor whose executor is a serial queue.
package protocol QueueConfined: Actor {
    nonisolated var queue: SerialQueue { get }
}

extension QueueConfined {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    /// Hands `body` over, in order, without a task.
    package nonisolated func submit(_ body: @escaping @Sendable (isolated Self) -> Void) {
        queue.submit { self.assumeIsolated(body) }
    }
}
