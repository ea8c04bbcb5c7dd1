import Synchronization

/// Whether somebody new may be let in, as far as the audit log goes. Asked for each connection, from any thread.
final class AuditAdmission: Sendable {
    private let closed: Atomic<Bool>

    /// Closed until the spool is open, where policy wants that no connection is missing.
    init(_ policies: FullPolicies) { closed = Atomic(policies.refusesConnections) }

    var isOpen: Bool { !closed.load(ordering: .relaxed) }

    /// True if that is news.
    func set(isClosed: Bool) -> Bool { closed.exchange(isClosed, ordering: .relaxed) != isClosed }
}
