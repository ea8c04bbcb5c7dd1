import PlaneAPI
import Reports
import Synchronization

/// Says what is applied of the desired state: codes, events, numbers. Safe from any thread.
final class DesiredReports: Sendable {
    private static let section = "desired"
    private static let subject = "desired state"
    /// One failure is no news: a plane may be restarting.
    private static let tolerated = 1

    private struct Applied {
        let version: Int64
        let hash: String
        let issuedAt: Int64
        let expiresAt: Int64
        let since: Timestamp
    }

    private struct State {
        var applied: Applied?
        var refusal: DesiredRefusal?
        var answered: Timestamp?
    }

    private let board: HealthBoard
    private let audit: AuditReporter
    private let refusals: [DesiredRefusal.Reason: Counter]
    private let state = Mutex(State())

    init(_ board: HealthBoard, _ audit: AuditReporter, _ metrics: Metrics) {
        self.board = board
        self.audit = audit
        refusals = Dictionary(
            uniqueKeysWithValues: DesiredRefusal.Reason.allCases.map { reason in
                (
                    reason,
                    metrics.counter(
                        "nodeguard_desired_refusals", "Desired states that were not applied, by reason",
                        labels: [("reason", reason.rawValue)])
                )
            })
        metrics.gauge("nodeguard_desired_version", "Version of the desired state that is applied; 0: none") {
            [weak self] in
            [([], Double(self?.state.withLock { $0.applied?.version } ?? 0))]
        }
        metrics.gauge("nodeguard_desired_expiry_timestamp_seconds", "When the applied desired state is out of date") {
            [weak self] in
            self?.state.withLock { $0.applied?.expiresAt }.map { [([], Double($0))] } ?? []
        }
        metrics.gauge("nodeguard_desired_answered_timestamp_seconds", "When the plane last answered about it") {
            [weak self] in
            self?.state.withLock { $0.answered }.map { [([], Double($0.seconds))] } ?? []
        }
    }

    // MARK: the plane

    func answered() {
        state.withLock { $0.answered = .now }
        board.clear("DESIRED_STATE_NOT_FETCHED", subject: Self.subject)
        publish()
    }

    /// `times`: in a row.
    func failed(_ reason: String, times: Int) {
        guard times > Self.tolerated else { return }
        board.raise(
            HealthReason(
                "DESIRED_STATE_NOT_FETCHED", .warn, subject: Self.subject,
                detail: "the plane does not say what is desired, what was applied stays: \(reason)",
                action: "check the management plane and the way to it; "
                    + "with a plane that has no such call, set management: desired: off"))
    }

    // MARK: what came

    /// `isNew`: it was not in effect when the node started.
    func applied(_ new: VerifiedDesiredState, isNew: Bool) {
        let state = new.state
        self.state.withLock {
            $0.applied = Applied(
                version: state.version, hash: new.hash, issuedAt: state.issuedAt, expiresAt: state.expiresAt,
                since: .now)
        }
        board.clear("DESIRED_STATE_UNUSABLE", subject: Self.subject)
        if isNew {
            audit.report(
                AuditEvent(
                    .desiredStateApplied,
                    fields: [
                        "version": .integer(state.version), "hash": .string(new.hash),
                        "denied": .count(state.content.deny.count),
                        "listeners": .strings(state.content.listeners.keys.sorted()),
                        "roles": .strings(state.content.roles.keys.sorted()),
                        "orders": .strings(state.content.reissue.map(\.id)),
                    ]))
        }
        publish()
    }

    /// What the plane gave is what is applied.
    func agreed() {
        state.withLock { $0.refusal = nil }
        board.clear("DESIRED_STATE_REFUSED", subject: Self.subject)
        publish()
    }

    /// `isNews`: it was not the last thing that was refused.
    func refused(_ refusal: DesiredRefusal, isNews: Bool) {
        refusals[refusal.reason]?.add()
        state.withLock { $0.refusal = refusal }
        if isNews { report(refusal) }
        board.raise(
            HealthReason(
                "DESIRED_STATE_REFUSED", .warn, subject: Self.subject,
                detail: "what the plane gives is not applied, what was applied stays: \(refusal)",
                action: "mend it with nodeguard-plane desired set, or look who answers for the plane; "
                    + "it is asked again"))
        publish()
    }

    func storedUnusable(_ refusal: DesiredRefusal, path: String) {
        refusals[refusal.reason]?.add()
        state.withLock { $0.refusal = refusal }
        report(refusal)
        board.raise(
            HealthReason(
                "DESIRED_STATE_UNUSABLE", .error, subject: Self.subject,
                detail: "what was applied before cannot be used, and nobody is let in: \(refusal.detail)",
                action: "let the plane be reached, which gives it again; "
                    + "to serve by the configuration alone, remove \(path) and restart"))
        publish()
    }

    private func report(_ refusal: DesiredRefusal) {
        audit.report(
            AuditEvent(
                .desiredStateApplied, .refused,
                fields: ["reason": .string(refusal.reason.rawValue), "detail": .string(refusal.detail)]))
    }

    func looked(isExpired: Bool) {
        guard isExpired, let applied = state.withLock({ $0.applied }) else {
            return board.clear("DESIRED_STATE_EXPIRED", subject: Self.subject)
        }
        board.raise(
            HealthReason(
                "DESIRED_STATE_EXPIRED", .warn, subject: Self.subject,
                detail: "version \(applied.version) stays applied, and was to be renewed by "
                    + Timestamp(seconds: applied.expiresAt).description,
                action: "let the plane be reached: it renews desired states by itself"))
    }

    // MARK: the disk

    /// nil: all of it is on the disk.
    func stored(flaw: String?) {
        guard let flaw else { return board.clear("DESIRED_STATE_NOT_STORED", subject: Self.subject) }
        board.raise(
            HealthReason(
                "DESIRED_STATE_NOT_STORED", .error, subject: Self.subject,
                detail: "it is in effect, and would be forgotten by a restart: \(flaw)",
                action: "make room on the disk of the state folder, and check that it belongs to the service"))
    }

    private func publish() {
        let state = state.withLock { $0 }
        let applied: JSONValue =
            state.applied.map { applied in
                [
                    "version": .integer(applied.version), "hash": .string(applied.hash),
                    "issued": .string(Timestamp(seconds: applied.issuedAt).description),
                    "expires": .string(Timestamp(seconds: applied.expiresAt).description),
                    "since": .string(applied.since.description),
                ]
            } ?? .null
        let refused: JSONValue =
            state.refusal.map { ["reason": .string($0.reason.rawValue), "detail": .string($0.detail)] } ?? .null
        board.publish(
            section: Self.section,
            [
                "applied": applied, "refused": refused,
                "answered": state.answered.map { .string($0.description) } ?? .null,
            ])
    }
}
