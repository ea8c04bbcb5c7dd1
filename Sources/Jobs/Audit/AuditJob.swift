import IO
import Reports

/// The audit job: takes events from everybody, makes them durable, and brings them to the plane. It never refuses to
/// start.
package final class AuditJob: Sendable {
    private static let farewellStep = Duration.milliseconds(20)

    private let farewell: Duration
    private let intake = AuditIntake()
    private let spool: AuditSpool
    private let admission: AuditAdmission
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
        farewell = configuration.farewell
        admission = AuditAdmission(configuration.whenFull)
        spool = AuditSpool(configuration, figures, health, admission) { shipper?.alarm.ring() }
    }

    /// Where everybody reports; from any thread, at any time, also before `start`.
    package var reporter: AuditReporter { AuditReporter { [intake] in intake.report($0) } }

    /// False: what a new connection does could not be told, and policy wants none of those. From any thread.
    package var admitsConnections: Bool { admission.isOpen }

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
        let deadline = ContinuousClock.now + farewell
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
        let start = ContinuousClock.now
        var machine = CommitStateMachine()
        while !intake.isClosed {
            let (isEmpty, isUrgent) = intake.waiting
            switch machine.observed(isEmpty: isEmpty, isUrgent: isUrgent, at: start.duration(to: .now)) {
            case .commit: machine.committed(await spool.drain(intake), at: start.duration(to: .now))
            case .wait(let pause): if await intake.alarm.wait(for: pause) == .cancelled { return }
            }
        }
    }
}
