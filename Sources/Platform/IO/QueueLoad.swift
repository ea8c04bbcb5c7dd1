import Synchronization

/// What a lane or queue has done so far, and how late it is.
package struct QueueLoad: Sendable {
    package let label: String
    /// Jobs that it ran and events that it handed out.
    package let jobCount: UInt64
    /// Seconds spent at work since it was made; a load is the growth of this over the growth of time.
    package let busySeconds: Double
    /// How long an unanswered heartbeat has been waiting; 0 if all were answered.
    package let lagSeconds: Double
    package let lastHeartbeat: ContinuousClock.Instant
    /// See `Heartbeat.isPatient`.
    package let isPatient: Bool
}

/// Something that can be asked whether it still runs: every lane and every queue.
package protocol Heartbeat: AnyObject, Sendable {
    var label: String { get }
    /// Whether it may be late without anything being wrong with the process: it waits for a disk or a producer.
    var isPatient: Bool { get }
    var load: QueueLoad { get }
    /// Hands over a heartbeat, which is answered when its turn comes.
    func beat()
}

/// The figures behind `QueueLoad`.
final class LoadGauge: Sendable {
    private struct Figures {
        var jobs: UInt64 = 0
        var busy = Duration.zero
        var busySince: ContinuousClock.Instant?
        var sent: ContinuousClock.Instant?
        var answered = ContinuousClock.now
    }

    private let figures = Mutex(Figures())

    func ran(_ count: Int) {
        if count > 0 { figures.withLock { $0.jobs += UInt64(count) } }
    }

    func becameBusy(at moment: ContinuousClock.Instant = .now) {
        figures.withLock { if $0.busySince == nil { $0.busySince = moment } }
    }

    /// `count`: what it ran before, and has not told yet.
    func becameIdle(after count: Int) {
        figures.withLock { figures in
            figures.jobs += UInt64(count)
            guard let since = figures.busySince else { return }
            figures.busy += since.duration(to: .now)
            figures.busySince = nil
        }
    }

    /// False while one is unanswered: the lag is its age, and a second one would only lengthen the queue.
    func mayBeat() -> Bool {
        figures.withLock { figures in
            if figures.sent != nil { return false }
            figures.sent = .now
            return true
        }
    }

    func heartbeatAnswered() {
        figures.withLock {
            $0.sent = nil
            $0.answered = .now
        }
    }

    func load(label: String, isPatient: Bool = false) -> QueueLoad {
        figures.withLock { figures in
            let now = ContinuousClock.now
            let running = figures.busySince.map { $0.duration(to: now) } ?? .zero
            return QueueLoad(
                label: label, jobCount: figures.jobs, busySeconds: (figures.busy + running).seconds,
                lagSeconds: figures.sent.map { $0.duration(to: now).seconds } ?? 0, lastHeartbeat: figures.answered,
                isPatient: isPatient)
        }
    }
}

extension Duration {
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
