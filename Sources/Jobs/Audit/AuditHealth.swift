import IO
import Reports
import Synchronization

/// What the audit job says of itself on the node's health board: one place for its codes, their words and what to do.
final class AuditHealth: Sendable {
    static let condition = "spool"
    static let section = "audit"

    private let board: HealthBoard
    private let figures: AuditFigures
    private let quarantined = Mutex<String?>(nil)

    init(_ board: HealthBoard, _ figures: AuditFigures) {
        self.board = board
        self.figures = figures
    }

    func spoolWorks() {
        figures.setSpoolProblem(nil)
        board.clear("AUDIT_SPOOL_NOT_WRITABLE")
        board.set(ReadinessCondition(Self.condition, isMet: true, detail: "open and writable"))
    }

    func spoolFails(_ error: SpoolError) {
        let action =
            error.kind == .full
            ? "make room on the disk that holds the state folder; events wait in memory meanwhile"
            : "check that the state folder exists and belongs to the service, and that no second daemon uses it"
        board.raise(
            HealthReason("AUDIT_SPOOL_NOT_WRITABLE", .error, detail: error.description, action: action))
        board.set(ReadinessCondition(Self.condition, isMet: false, detail: error.description))
        board.publish(section: Self.section, figures.section)
    }

    func spoolQuarantined(_ folder: String, _ reason: String) {
        quarantined.withLock { $0 = folder }
        board.raise(
            HealthReason(
                "AUDIT_SPOOL_QUARANTINED", .warn, detail: "a new log was begun: \(reason)",
                action: "look into \(folder), keep it as evidence elsewhere, and remove it"))
    }

    /// Whether new connections find room for their events.
    func admits(_ isOpen: Bool) {
        guard !isOpen else { return board.clear("AUDIT_SPOOL_FULL") }
        board.raise(
            HealthReason(
                "AUDIT_SPOOL_FULL", .error,
                detail: "new connections are refused (audit-full): their events find no room",
                action: "bring the management plane back, make room on the disk, or raise audit: spool: limit"))
    }

    func droppedEvents(_ count: UInt64) {
        board.raise(
            HealthReason(
                "AUDIT_EVENTS_DROPPED", .warn, detail: "\(count) events found no room; gap events tell which",
                action: "bring the management plane back, or raise audit: spool: limit"))
    }

    /// After each change of the log.
    func publish(_ log: AuditFigures.Log, _ section: JSONValue) {
        board.publish(section: Self.section, section)
        if log.bytes > log.limit {
            board.raise(
                HealthReason(
                    "AUDIT_SPOOL_OVER_LIMIT", .warn,
                    detail: "\(log.bytes) bytes wait, the limit is \(log.limit); what is left is never dropped",
                    action: "bring the management plane back, or raise audit: spool: limit"))
        } else {
            board.clear("AUDIT_SPOOL_OVER_LIMIT")
        }
        if log.bytes < log.limit / 2 { board.clear("AUDIT_EVENTS_DROPPED") }
        let isCleared = quarantined.withLock { folder in
            guard let path = folder, !Files.exists(path) else { return false }
            folder = nil
            return true
        }
        if isCleared { board.clear("AUDIT_SPOOL_QUARANTINED") }
    }

    func shippingWorks() {
        figures.setShippingProblem(nil)
        board.clear("AUDIT_NOT_SHIPPED")
        board.clear("AUDIT_REFUSED")
    }

    func shippingFails(_ reason: String) {
        figures.setShippingProblem(reason)
        board.raise(
            HealthReason(
                "AUDIT_NOT_SHIPPED", .warn, detail: "\(reason); every event is kept",
                action: "check the management plane and the way to it"))
    }

    func witnessIsKnown() { board.clear("AUDIT_WITNESS_CHANGED") }

    func witnessChanged(from known: String, to told: String) {
        board.raise(
            HealthReason(
                "AUDIT_WITNESS_CHANGED", .error,
                detail: "the plane cosigns as \(told), this node knows it as \(known); every event is kept",
                action:
                    "if the plane was given a new key, set audit: witness: to what `nodeguard-plane audit keys` prints "
                    + "and restart; else somebody answers in its place"))
    }

    func shippingStopped(_ reason: String) {
        figures.setShippingProblem(reason)
        board.clear("AUDIT_NOT_SHIPPED")
        board.raise(
            HealthReason(
                "AUDIT_REFUSED", .error, detail: "the plane says that our log contradicts its own: \(reason)",
                action: "compare both with `audit verify`; shipping is tried again when the daemon restarts"))
    }
}
