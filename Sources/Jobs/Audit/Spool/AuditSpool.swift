import IO
import Reports

/// The node's audit log on its own disk. It always has an answer: what cannot be trusted is put aside and a new log
/// begins; what cannot be written now waits in memory and is tried again.
///
/// An actor on a queue of its own, because SQLite blocks.
actor AuditSpool: QueueConfined {
    enum Progress: Sendable {
        case done, more
        /// The disk refuses; events wait.
        case blocked
    }

    nonisolated let queue = SerialQueue(label: "audit-spool")
    private let configuration: AuditConfiguration
    private let files: SpoolFiles
    private let figures: AuditFigures
    private let health: AuditHealth
    private let committed: @Sendable () -> Void

    private(set) var store: SpoolStore?
    private var hasEnded = false
    /// Taken from the intake and not yet durable; one commit's worth, and our own events.
    private var held: [AuditEvent] = []
    /// No later log may have a smaller number, whatever the clock says.
    private var lastEpoch: UInt64 = 0
    /// The plane's verifier key, which outlives a log.
    var lastWitness = ""
    private var lastPutAside: ContinuousClock.Instant?
    private var shortfall = ShortfallStateMachine()
    private var gate: SpoolGateStateMachine
    private let origin = ContinuousClock.now
    /// Told whether somebody new may be let in, when that changes.
    private let admission: AuditAdmission

    /// A disk that damages every new log must not be filled with them.
    private static let putAsideInterval = Duration.seconds(5)

    /// `committed` is called after each commit.
    init(
        _ configuration: AuditConfiguration, _ figures: AuditFigures, _ health: AuditHealth,
        _ admission: AuditAdmission, committed: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.figures = figures
        self.health = health
        self.admission = admission
        self.committed = committed
        let limits = configuration.limits
        gate = SpoolGateStateMachine(closesAt: limits.ceiling, opensAt: limits.target)
        files = SpoolFiles(directory: configuration.directory)
    }

    // MARK: Writing

    /// Opens the log if it is not open, and makes what waits durable, one commit's worth.
    func drain(_ intake: AuditIntake) -> Progress {
        guard !hasEnded else { return .done }
        let isOpen = open()
        if held.isEmpty { take(intake) }
        guard isOpen, let store else {
            gate.writingFailed()
            return blocked()
        }
        defer { publish() }
        guard !held.isEmpty else {
            health.spoolWorks()
            return .done
        }
        let start = ContinuousClock.now
        do {
            let losses = try store.append(held, at: .now)
            figures.commits.observe(start.duration(to: .now).seconds)
            figures.committed(held, without: losses.unstored)
            note(losses)
            held = []
            health.spoolWorks()
            committed()
            return intake.isEmpty ? .done : .more
        } catch {
            // A new log is tried at once, a refusing disk is not.
            if recover(error) { return .more }
            gate.writingFailed()
            return blocked()
        }
    }

    private func blocked() -> Progress {
        showGate()
        return .blocked
    }

    private func note(_ losses: SpoolStore.Losses) {
        shortfall.dropped(losses.unstored)
        let counts = losses.dropped.merging(losses.unstored, uniquingKeysWith: +)
        if counts.isEmpty { return }
        figures.droppedEvents(counts)
        health.droppedEvents(counts.values.reduce(0, +))
    }

    private func take(_ intake: AuditIntake) {
        let taken = intake.take()
        held = taken.events
        if !taken.lost.isEmpty {
            figures.droppedEvents(taken.lost)
            health.droppedEvents(taken.lost.values.reduce(0, +))
            tell(of: taken.lost, "queue-full")
        }
        let hasRoom = store.map { $0.state.usage < configuration.limits.ceiling } ?? false
        tell(of: shortfall.told(hasRoom: hasRoom, at: origin.duration(to: .now)), "spool-full")
    }

    private func tell(of counts: [AuditClass: UInt64], _ reason: String) {
        if counts.isEmpty { return }
        var fields: AuditFields = ["reason": .string(reason)]
        for (auditClass, count) in counts { fields["count.\(auditClass.name)"] = .count(count) }
        held.append(AuditEvent(.auditGap, .failure, fields: fields))
    }

    // MARK: Opening

    private func open() -> Bool {
        if store != nil { return true }
        do {
            if files.hasTraces {
                try continueLog()
            } else {
                try beginLog()
            }
            return true
        } catch {
            return recover(error)
        }
    }

    private func continueLog() throws(SpoolError) {
        let store = try SpoolStore.open(files, configuration)
        lastEpoch = max(lastEpoch, store.state.place.epoch)
        lastWitness = store.state.witness
        if !store.state.isClean {
            held.insert(
                AuditEvent(
                    .agentEndedUncleanly, .failure,
                    fields: [
                        "last": .integer(store.state.last), "previous_boot": .string(store.state.boot),
                        "same_boot": .boolean(store.state.boot == configuration.boot),
                    ]), at: 0)
        }
        try store.begin(boot: configuration.boot)
        self.store = store
    }

    private func beginLog() throws(SpoolError) {
        let milliseconds = UInt64(max(1, Timestamp.now.nanoseconds / 1_000_000))
        let epoch = max(milliseconds, lastEpoch + 1)
        let place = AuditPlace(node: configuration.node, cluster: configuration.cluster, epoch: epoch)
        store = try SpoolStore.create(files, place, configuration, witness: lastWitness)
        lastEpoch = epoch
    }

    /// True if there is an open log afterwards: a new one, in the place of a damaged one.
    func recover(_ error: SpoolError) -> Bool {
        figures.setSpoolProblem(error.description)
        switch error.kind {
        case .full: break
        case .unavailable:
            store?.close()
            store = nil
        case .damaged:
            return replaceLog(error)
        }
        health.spoolFails(error)
        return false
    }

    private func replaceLog(_ damage: SpoolError) -> Bool {
        store?.close()
        if let lastPutAside, lastPutAside.duration(to: .now) < Self.putAsideInterval {
            store = nil
            health.spoolFails(damage)
            return false
        }
        do {
            try putAside(damage.description)
            try beginLog()
            return true
        } catch {
            store = nil
            health.spoolFails(error)
            return false
        }
    }

    private func putAside(_ reason: String) throws(SpoolError) {
        let known = store?.state
        store = nil
        let mark = SpoolHead.read(files.head)
        let folder = try spoolOperation("put the spool aside") { try files.putAside(at: .now) }
        lastPutAside = .now
        lastEpoch = max(lastEpoch, known?.place.epoch ?? 0, mark?.epoch ?? 0)
        var fields: AuditFields = [
            "what": "audit spool", "reason": .string(reason), "folder": .string(folder),
        ]
        if let epoch = known?.place.epoch ?? mark?.epoch { fields["epoch"] = .count(epoch) }
        if let last = known?.last ?? mark?.last { fields["last"] = .integer(last) }
        if let known {
            fields["acknowledged"] = .integer(known.acknowledged)
            figures.lost.add(UInt64(known.last - known.acknowledged))
        }
        held.insert(AuditEvent(.stateQuarantined, .failure, fields: fields), at: 0)
        figures.quarantined.add()
        health.spoolQuarantined(folder, reason)
    }

    // MARK: Reading and ending

    /// The last events as canonical JSON, oldest first.
    func tail(_ count: Int) -> [String] {
        guard let store else { return [] }
        return attempt { () throws(SpoolError) in try store.tail(max(0, min(count, 10_000))) } ?? []
    }

    /// Makes durable what waits, as far as the disk lets it, and says that the run ended well.
    func finish(_ intake: AuditIntake) {
        while drain(intake) == .more {}
        if held.isEmpty, !shortfall.counts.isEmpty {
            tell(of: shortfall.counts, "spool-full")
            _ = drain(intake)
        }
        hasEnded = true
        guard let store else { return figures.lost.add(UInt64(held.count)) }
        if held.isEmpty { attempt { () throws(SpoolError) in try store.endCleanly() } }
        figures.lost.add(UInt64(held.count))
        self.store?.close()
        self.store = nil
    }

    func publish() {
        guard let store else { return }
        var log = AuditFigures.Log(
            epoch: store.state.place.epoch, last: UInt64(store.state.last),
            acknowledged: UInt64(store.state.acknowledged), cosigned: store.cosignedSize,
            witness: store.state.witness.isEmpty ? nil : store.state.witness, key: store.verifierKey,
            bytes: store.state.usage, limit: configuration.limit, isOpen: true)
        log.oldest = store.oldestWaiting.map { Timestamp(nanoseconds: $0) }
        figures.update(log)
        if held.isEmpty {
            gate.written(waiting: store.state.usage - store.keptBytes)
            showGate()
        }
        health.publish(log, figures.section)
    }

    private func showGate() {
        guard configuration.whenFull.refusesConnections else { return }
        if admission.set(isClosed: gate.isClosed) || gate.isClosed { health.admits(!gate.isClosed) }
    }
}
