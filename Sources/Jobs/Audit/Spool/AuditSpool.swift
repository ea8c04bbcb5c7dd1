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

    private var store: SpoolStore?
    private var hasEnded = false
    /// Taken from the intake and not yet durable; one commit's worth, and our own events.
    private var held: [AuditEvent] = []
    /// No later log may have a smaller number, whatever the clock says.
    private var lastEpoch: UInt64 = 0
    /// The plane's verifier key, which outlives a log.
    private var lastWitness = ""
    private var lastPutAside: ContinuousClock.Instant?

    /// A disk that damages every new log must not be filled with them.
    private static let putAsideInterval = Duration.seconds(5)

    /// `committed` is called after each commit.
    init(
        _ configuration: AuditConfiguration, _ figures: AuditFigures, _ health: AuditHealth,
        committed: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.figures = figures
        self.health = health
        self.committed = committed
        files = SpoolFiles(directory: configuration.directory)
    }

    // MARK: Writing

    /// Opens the log if it is not open, and makes what waits durable, one commit's worth.
    func drain(_ intake: AuditIntake) -> Progress {
        guard !hasEnded else { return .done }
        let isOpen = open()
        if held.isEmpty { take(intake) }
        guard isOpen, let store else { return .blocked }
        defer { publish() }
        guard !held.isEmpty else {
            health.spoolWorks()
            return .done
        }
        let start = ContinuousClock.now
        do {
            let dropped = try store.append(held, at: .now)
            figures.commits.observe(start.duration(to: .now).seconds)
            figures.committed(held)
            figures.droppedEvents(dropped)
            if !dropped.isEmpty { health.droppedEvents(dropped.values.reduce(0, +)) }
            held = []
            health.spoolWorks()
            committed()
            return intake.isEmpty ? .done : .more
        } catch {
            // A new log is tried at once, a refusing disk is not.
            return recover(error) ? .more : .blocked
        }
    }

    private func take(_ intake: AuditIntake) {
        let taken = intake.take()
        held = taken.events
        guard !taken.lost.isEmpty else { return }
        figures.droppedEvents(taken.lost)
        var fields: [String: JSONValue] = ["reason": "queue-full"]
        for (auditClass, count) in taken.lost { fields["count.\(auditClass.name)"] = .count(count) }
        held.append(AuditEvent(.auditGap, .failure, fields: fields))
        health.droppedEvents(taken.lost.values.reduce(0, +))
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
    private func recover(_ error: SpoolError) -> Bool {
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
        var fields: [String: JSONValue] = [
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

    // MARK: Shipping

    /// nil while there is no open log.
    func view() -> SpoolView? {
        guard let state = store?.state, let store else { return nil }
        return SpoolView(
            epoch: state.place.epoch, acknowledged: UInt64(state.acknowledged), committed: UInt64(state.last),
            waitingBytes: state.usage - store.keptBytes, offered: UInt64(state.offered),
            isRegistered: state.isRegistered)
    }

    /// The raw key of the log, if it is still this one.
    func publicKey(epoch: UInt64) -> [UInt8]? { current(epoch)?.key.publicKey }

    func witness(epoch: UInt64) -> String? {
        current(epoch).flatMap { $0.state.witness.isEmpty ? nil : $0.state.witness }
    }

    /// nil if the log is another one by now, or the disk refuses.
    func makeBatch(epoch: UInt64, first: UInt64, count: UInt64) -> AuditBatch? {
        guard let store = current(epoch), first > store.state.acknowledged, first <= store.state.last else {
            return nil
        }
        return attempt { () throws(SpoolError) in try store.makeBatch(first: Int64(first), count: Int(count)) }
    }

    func noteRegistered(epoch: UInt64) -> Bool {
        guard let store = current(epoch) else { return false }
        return attempt { () throws(SpoolError) in try store.noteRegistered() } != nil
    }

    func noteWitness(epoch: UInt64, _ verifierKey: String) -> Bool {
        guard let store = current(epoch) else { return false }
        guard attempt({ () throws(SpoolError) in try store.noteWitness(verifierKey) }) != nil else { return false }
        lastWitness = verifierKey
        return true
    }

    func acknowledge(epoch: UInt64, through last: UInt64, cosigned: String?) -> Bool {
        guard let store = current(epoch), last > store.state.acknowledged, last <= store.state.offered else {
            return false
        }
        defer { publish() }
        return attempt { () throws(SpoolError) in
            try store.acknowledge(through: Int64(last), cosigned: cosigned)
        } != nil
    }

    /// Puts the log aside because it cannot be continued at the plane.
    func beginEpoch(instead epoch: UInt64, reason: String) -> Bool {
        guard current(epoch) != nil else { return false }
        return recover(SpoolError(.damaged, reason))
    }

    private func current(_ epoch: UInt64) -> SpoolStore? { store?.state.place.epoch == epoch ? store : nil }

    private func attempt<Result>(_ body: () throws(SpoolError) -> Result) -> Result? {
        do {
            return try body()
        } catch {
            _ = recover(error)
            return nil
        }
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
        hasEnded = true
        guard let store else { return figures.lost.add(UInt64(held.count)) }
        if held.isEmpty { attempt { () throws(SpoolError) in try store.endCleanly() } }
        figures.lost.add(UInt64(held.count))
        self.store?.close()
        self.store = nil
    }

    private func publish() {
        guard let store else { return }
        var log = AuditFigures.Log(
            epoch: store.state.place.epoch, last: UInt64(store.state.last),
            acknowledged: UInt64(store.state.acknowledged), cosigned: store.state.cosignedSize,
            witness: store.state.witness.isEmpty ? nil : store.state.witness, key: store.verifierKey,
            bytes: store.state.usage, limit: configuration.limit, isOpen: true)
        if log.waiting > 0 {
            log.oldest = (try? store.oldestWaiting()).flatMap { $0 }.map { Timestamp(nanoseconds: $0) }
        }
        figures.update(log)
        health.publish(log, figures.section)
    }
}
