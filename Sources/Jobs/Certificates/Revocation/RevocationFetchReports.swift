import OpenSSL
import Reports
import Synchronization

/// Says how the cluster's CRLs come: codes, events, numbers. Safe from any thread.
final class RevocationFetchReports: Sendable {
    private enum Outcome: String, CaseIterable { case new, unchanged, refused, failed }

    private static let section = "revocation"
    /// One failure is no news: a plane may be restarting.
    private static let tolerated = 1

    private struct State {
        var lists: [RevocationList] = []
        var fetched: Int64?
    }

    private let cluster: String
    private let board: HealthBoard
    private let audit: AuditReporter
    private let fetches: [Outcome: Counter]
    private let state = Mutex(State())

    init(cluster: String, _ board: HealthBoard, _ audit: AuditReporter, _ metrics: Metrics) {
        self.cluster = cluster
        self.board = board
        self.audit = audit
        fetches = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map { outcome in
                (
                    outcome,
                    metrics.counter(
                        "nodeguard_crl_fetches", "Questions to the plane for the cluster's CRLs",
                        labels: [("result", outcome.rawValue)])
                )
            })
        metrics.gauge("nodeguard_crl_fetched_timestamp_seconds", "When the plane last answered about its CRLs") {
            [weak self] in
            self?.state.withLock { $0.fetched }.map { [([], Double($0))] } ?? []
        }
    }

    // MARK: the plane

    func answered(isNew: Bool) {
        fetches[isNew ? .new : .unchanged]?.add()
        state.withLock { $0.fetched = Timestamp.now.seconds }
        for code in ["CRL_NOT_FETCHED", "CRL_REFUSED"] { board.clear(code, subject: subject) }
        publish()
    }

    /// `times`: in a row.
    func failed(_ reason: String, times: Int) {
        fetches[.failed]?.add()
        guard times > Self.tolerated else { return }
        board.raise(
            HealthReason(
                "CRL_NOT_FETCHED", .warn, subject: subject,
                detail: "the plane does not say who is revoked, the CRLs of before count on: \(reason)",
                action: "check the management plane and the way to it"))
    }

    func refused(_ reason: String) {
        fetches[.refused]?.add()
        audit.report(AuditEvent(.revocationListAdopted, .failure, fields: fields(["reason": .string(reason)])))
        board.raise(
            HealthReason(
                "CRL_REFUSED", .warn, subject: subject,
                detail: "what the plane gives is not used, the CRLs of before count on: \(reason)",
                action: "check this node's clock, and whether the plane was set back; it is asked again"))
    }

    // MARK: what is in force

    func inForce(_ lists: [RevocationList]) {
        let isNews = state.withLock { state in
            defer { state.lists = lists }
            return state.lists.map(\.fingerprint) != lists.map(\.fingerprint)
        }
        if isNews {
            let documents = lists.map { JSONValue.object(Self.members($0)) }
            audit.report(AuditEvent(.revocationListAdopted, fields: fields(["lists": .array(documents)])))
        }
        publish()
    }

    /// Nothing is in force yet.
    func missing() { publish() }

    private func publish() {
        let state = state.withLock { $0 }
        board.publish(
            section: Self.section,
            [
                "cluster": .string(cluster),
                "fetched": state.fetched.map { .string(Timestamp(seconds: $0).description) } ?? .null,
                "lists": .array(state.lists.map { .object(Self.members($0)) }),
            ])
    }

    // MARK: the disk

    func saved() { board.clear("CRL_NOT_STORED", subject: subject) }

    func notSaved(_ reason: String) {
        board.raise(
            HealthReason(
                "CRL_NOT_STORED", .error, subject: subject,
                detail: "the newest CRLs are in force, and would be forgotten by a restart: \(reason)",
                action: "make room on the disk of the state folder, and check that it belongs to the service"))
    }

    func read() { board.clear("CRL_NOT_READABLE", subject: subject) }

    /// `isKnown`: how new they were; without that nothing may take their place.
    func notReadable(_ reason: String, isKnown: Bool) {
        let next = isKnown ? "the plane is asked for them meanwhile" : "nothing takes their place before it is read"
        board.raise(
            HealthReason(
                "CRL_NOT_READABLE", .error, subject: subject, detail: "the stored CRLs cannot be read: \(reason)",
                action: "check the disk, and that the state folder belongs to the service; \(next)"))
        missing()
    }

    func quarantined(_ place: String, reason: String) {
        audit.report(
            AuditEvent(
                .stateQuarantined, .failure,
                fields: ["what": .string(subject), "reason": .string(reason), "folder": .string(place)]))
        board.raise(
            HealthReason(
                "CRL_QUARANTINED", .warn, subject: subject, detail: "the stored CRLs cannot be used: \(reason)",
                action: "look at \(place), find out what damaged it, and remove it; they are fetched from the plane"))
        missing()
    }

    private var subject: String { "CRLs of \(cluster)" }

    private func fields(_ more: AuditFields) -> AuditFields {
        var fields = more
        fields["cluster"] = .string(cluster)
        return fields
    }

    private static func members(_ list: RevocationList) -> [String: JSONValue] {
        [
            "issuer": .string(list.issuer), "number": list.number.map { .string($0) } ?? .null,
            "this_update": .string(Timestamp(seconds: list.thisUpdate).description),
            "next_update": .string(Timestamp(seconds: list.nextUpdate).description), "revoked": .count(list.count),
        ]
    }
}
