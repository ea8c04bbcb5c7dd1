import IO
import Reports

/// The audit job: takes events from everybody, makes them durable, and brings them to the plane. It never refuses to
/// start.
package final class AuditJob: Sendable {
    /// Events wait so long for company; security events do not. A commit costs as much as some dozens of events.
    static let groupDelay = Duration.milliseconds(100)
    private static let idle = Duration.seconds(5)
    private static let retry = Duration.seconds(1)
    /// A stop waits so long for the plane to take the last events; they are durable already.
    private static let farewell = Duration.seconds(2)
    private static let farewellStep = Duration.milliseconds(20)

    private let intake = AuditIntake()
    private let spool: AuditSpool
    private let shipper: AuditShipper?
    private let ended = Alarm(label: "audit-end")

    /// `receiver`: nil for a node without a plane, whose log stays on its disk.
    package init(
        _ configuration: AuditConfiguration, receiver: AuditReceiver?, health board: HealthBoard, metrics: Metrics
    ) {
        let figures = AuditFigures(metrics)
        let health = AuditHealth(board, figures)
        let shipper = receiver.map { [intake] receiver in
            AuditShipper(
                receiver, witness: configuration.witness, health, AuditReporter { intake.report($0) })
        }
        self.shipper = shipper
        spool = AuditSpool(configuration, figures, health) { shipper?.alarm.ring() }
    }

    /// Where everybody reports; from any thread, at any time, also before `start`.
    package var reporter: AuditReporter { AuditReporter { [intake] in intake.report($0) } }

    /// Opens the spool and makes durable what was reported so far; the readiness condition `spool` says how it went.
    package func start() async {
        while await spool.drain(intake) == .more {}
    }

    /// Writes and ships until `stop` is called or the task is cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.write() }
            if let shipper { group.addTask { await shipper.run(self.spool) } }
            while await ended.wait(for: .seconds(3600)) == .elapsed {}
            group.cancelAll()
        }
    }

    /// Makes durable what was reported so far, gives the plane a moment to take it if it was there until now, and
    /// records that the run ended well. Events that come later are lost.
    package func stop() async {
        intake.close()
        while await spool.drain(intake) == .more {}
        await bidFarewell()
        await spool.finish(intake)
        ended.ring()
    }

    private func bidFarewell() async {
        guard let shipper else { return }
        let pause = Alarm(label: "audit-farewell")
        let deadline = ContinuousClock.now + Self.farewell
        while ContinuousClock.now < deadline, await shipper.isHopeful, await spooled() > 0 {
            if await pause.wait(for: Self.farewellStep) == .cancelled { return }
        }
    }

    /// Returns when everything that was reported before is durable; false if the disk refuses.
    package func flush() async -> Bool {
        while true {
            switch await spool.drain(intake) {
            case .more: continue
            case .done: return true
            case .blocked: return false
            }
        }
    }

    /// The last events as canonical JSON, oldest first.
    package func tail(_ count: Int) async -> [String] { await spool.tail(count) }

    /// How many durable events wait for the plane.
    package func spooled() async -> UInt64 { await spool.view().map { $0.committed - $0.acknowledged } ?? 0 }

    private func write() async {
        var progress = AuditSpool.Progress.done
        while !intake.isClosed {
            let wake = await intake.alarm.wait(for: progress == .blocked ? Self.retry : Self.idle)
            if wake == .cancelled { return }
            if wake == .rung, progress != .blocked, !intake.isUrgent {
                _ = await intake.alarm.wait(for: Self.groupDelay)
            }
            repeat { progress = await spool.drain(intake) } while progress == .more
        }
    }
}
