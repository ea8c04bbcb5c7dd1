import IO
import Reports

/// Brings the log to the plane: asks the state machine what to do, and does it.
actor AuditShipper: QueueConfined {
    nonisolated let queue = SerialQueue(label: "audit-shipping")
    /// Rung after each commit.
    nonisolated let alarm = Alarm(label: "audit-shipping")

    /// How long an idle shipper sleeps; the spool is looked at afresh then.
    private static let idle = Duration.seconds(30)
    private static let spoolRetry = Duration.seconds(1)

    let receiver: AuditReceiver
    let health: AuditHealth
    let audit: AuditReporter
    /// The verifier key of the configuration.
    let pinnedWitness: String?
    /// The other key of which an event was made.
    var reportedWitness: String?
    private var machine = ShippingStateMachine()
    private let start = ContinuousClock.now
    private var isRunning = false

    /// Events that wait will soon be at the plane, as far as we know.
    var isHopeful: Bool { isRunning && machine.failures == 0 }

    /// `witness`: the verifier key of the configuration. `audit`: where what the shipper itself finds is reported.
    init(_ receiver: AuditReceiver, witness: String?, _ health: AuditHealth, _ audit: AuditReporter) {
        self.receiver = receiver
        self.health = health
        self.audit = audit
        pinnedWitness = witness
    }

    /// Until the task is cancelled.
    func run(_ spool: AuditSpool) async {
        isRunning = true
        defer { isRunning = false }
        while !Task.isCancelled {
            guard let view = await spool.view() else {
                if await alarm.wait(for: Self.spoolRetry) == .cancelled { return }
                continue
            }
            var action: ShippingStateMachine.Action? = machine.spoolObserved(view, at: now)
            while let next = action, !Task.isCancelled {
                action = await perform(next, view.epoch, spool)
            }
        }
    }

    /// nil: look at the spool again.
    private func perform(
        _ action: ShippingStateMachine.Action, _ epoch: UInt64, _ spool: AuditSpool
    ) async -> ShippingStateMachine.Action? {
        switch action {
        case .wait(let until):
            let pause = until.map { $0 - now } ?? Self.idle
            _ = await alarm.wait(for: min(pause, Self.idle))
            return nil
        case .registerKey:
            return conclude(await register(epoch, spool))
        case .send(let first, let count):
            guard let batch = await spool.makeBatch(epoch: epoch, first: first, count: count) else {
                return machine.batchFailed(at: now, jitter: .random(in: 0...1))
            }
            machine.batchMade(last: batch.last)
            return conclude(await deliver(batch, spool))
        case .beginEpoch(let reason):
            if await !spool.beginEpoch(instead: epoch, reason: reason) {
                _ = await alarm.wait(for: Self.spoolRetry)
            }
            return nil
        case .stop(let reason):
            health.shippingStopped(reason)
            _ = await alarm.wait(for: Self.idle)
            return nil
        }
    }

    private func conclude(_ answer: ShippingAnswer) -> ShippingStateMachine.Action {
        let action = machine.answered(answer, at: now, jitter: .random(in: 0...1))
        if machine.failures == 0 {
            health.shippingWorks()
        } else if machine.failures > 1 {
            health.shippingFails(answer.problem)
        }
        return action
    }

    private func register(_ epoch: UInt64, _ spool: AuditSpool) async -> ShippingAnswer {
        guard let key = await spool.publicKey(epoch: epoch) else { return .unavailable(reason: "the spool was closed") }
        let answer = await receiver.registerKey(epoch, key)
        if answer == .keyRegistered, await !spool.noteRegistered(epoch: epoch) {
            return .unavailable(reason: "the spool could not note that the plane knows its key")
        }
        return answer
    }

    private func deliver(_ batch: AuditBatch, _ spool: AuditSpool) async -> ShippingAnswer {
        let delivery = await receiver.send(batch)
        guard case .acknowledged(let last) = delivery.answer, (batch.first...batch.last).contains(last) else {
            return delivery.answer
        }
        if let problem = await problem(ofCosignature: delivery.cosignature, of: batch, spool) {
            return .unavailable(reason: problem)
        }
        let cosigned = delivery.cosignature.map { batch.checkpoint.fullText + $0 }
        guard await spool.acknowledge(epoch: batch.epoch, through: last, cosigned: cosigned) else {
            return .unavailable(reason: "the spool could not note the plane's acknowledgement")
        }
        return delivery.answer
    }

    private var now: Duration { start.duration(to: .now) }
}

extension ShippingAnswer {
    /// For people.
    var problem: String {
        switch self {
        case .keyRegistered, .acknowledged: "the plane answered out of turn"
        case .keyUnknown: "the plane does not know the log's key any more"
        case .conflict(let next): "the plane expects event \(next)"
        case .tooLarge: "the plane, or something on the way, finds every batch too large"
        case .invalid(let reason), .unavailable(let reason): reason
        case .busy: "the plane is busy"
        }
    }
}
