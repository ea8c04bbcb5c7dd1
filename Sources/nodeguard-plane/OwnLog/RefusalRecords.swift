import Synchronization

/// Writes refusals into the plane's own log, so that no flood of them fills the disk.
final class RefusalRecords: Sendable {
    private let state: PlaneState
    private let counts = Mutex(RefusalCountStateMachine())

    init(state: PlaneState) { self.state = state }

    /// False: it is only counted.
    func record(_ event: PlaneEvent, now: Int64) async throws -> Bool {
        let kind = RefusalCountStateMachine.Kind(
            cluster: event.cluster, node: event.node, call: event.name, reason: event.reason ?? "")
        guard counts.withLock({ $0.refused(kind, at: now) }) else { return false }
        do {
            try await state.database.write { [log = state.log] in try log.record(event, now: now, $0) }
        } catch {
            counts.withLock { $0.notRecorded([RefusalCountStateMachine.Counted(kind: kind, count: 1)], at: now) }
            throw error
        }
        return true
    }

    /// Blocks; called every second.
    func recordPassed(now: Int64) throws { try record(counts.withLock { $0.passed(at: now) }, now) }

    /// Blocks; called when the plane ends.
    func recordAll(now: Int64) throws { try record(counts.withLock { $0.ended() }, now) }

    private func record(_ counted: [RefusalCountStateMachine.Counted], _ now: Int64) throws {
        if counted.isEmpty { return }
        do {
            try write(counted, now)
        } catch {
            counts.withLock { $0.notRecorded(counted, at: now) }
            throw error
        }
    }

    private func write(_ counted: [RefusalCountStateMachine.Counted], _ now: Int64) throws {
        try state.database.write { database in
            for entry in counted {
                let event = PlaneEvent(
                    name: entry.kind.call, actor: .plane, outcome: .refused, cluster: entry.kind.cluster,
                    node: entry.kind.node, reason: entry.kind.reason,
                    detail: "refused again within a minute, as counted", count: entry.count)
                try state.log.record(event, now: now, database)
            }
        }
    }
}
