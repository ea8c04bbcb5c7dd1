import OpenSSL
import Reports
import Synchronization

/// Says what becomes of revocation lists and deny lists: events, reasons and numbers. Safe from any thread.
final class RevocationReports: Sendable {
    private struct Age {
        let fingerprint: [UInt8]
        var machine = ListAgeStateMachine()
    }

    private let health: HealthBoard
    private let audit: AuditReporter
    private let adopted: [RevocationFiles.Kind: Counter]
    private let refused: [RevocationFiles.Kind: Counter]
    /// By the subject of their reasons.
    private let ages = Mutex<[String: Age]>([:])

    init(metrics: Metrics, health: HealthBoard, audit: AuditReporter) {
        self.health = health
        self.audit = audit
        func counters(_ result: String) -> [RevocationFiles.Kind: Counter] {
            let kinds: [RevocationFiles.Kind] = [.revocationLists, .denyList]
            return Dictionary(
                uniqueKeysWithValues: kinds.map { kind in
                    let labels = [("kind", kind.rawValue), ("result", result)]
                    return (
                        kind,
                        metrics.counter(
                            "nodeguard_revocation_files", "Files of CRLs and deny lists that were read", labels: labels)
                    )
                })
        }
        adopted = counters("adopted")
        refused = counters("refused")
    }

    // MARK: files

    func found(_ finding: RevocationFiles.Finding, in files: RevocationFiles) {
        let name: AuditEventName = finding.kind == .denyList ? .denyListAdopted : .revocationListAdopted
        let code = finding.kind == .denyList ? "DENY_LIST_REFUSED" : "CRL_REFUSED"
        var fields: AuditFields = ["path": .string(finding.path)]
        if let reason = finding.refusal {
            refused[finding.kind]?.add()
            fields["reason"] = .string(reason)
            audit.report(AuditEvent(name, .failure, fields: fields))
            health.raise(
                HealthReason(
                    code, .warn, subject: finding.path,
                    detail: "the file is not used, what it said before counts on: \(reason)",
                    action: finding.kind == .denyList
                        ? "correct the file; it is read again when it changes"
                        : "put the authority's newest CRL there; it is read again when it changes"))
            return
        }
        adopted[finding.kind]?.add()
        health.clear(code, subject: finding.path)
        switch finding.kind {
        case .denyList:
            fields["entries"] = .count(files.denyLists(of: [finding.path])?.first?.count ?? 0)
        case .revocationLists:
            fields["lists"] = .array((files.lists(of: [finding.path]) ?? []).map { .object($0.members) })
        }
        audit.report(AuditEvent(name, fields: fields))
    }

    // MARK: ages

    /// Tells of each list that has come to another part of its life.
    func looked(at now: Int64, _ listeners: [ListenerState]) {
        var news: [(ListenerState, RevocationList, ListAgeStateMachine.Stage, String)] = []
        var gone: [String] = []
        ages.withLock { ages in
            var present: Set<String> = []
            for listener in listeners {
                for list in listener.revocation?.lists ?? [] {
                    let subject = Self.subject(listener, list)
                    guard present.insert(subject).inserted else { continue }
                    var age = ages[subject] ?? Age(fingerprint: list.fingerprint)
                    if age.fingerprint != list.fingerprint {
                        age = Age(fingerprint: list.fingerprint)
                        gone.append(subject)
                    }
                    if case .tell(let stage) = age.machine.looked(at: now, from: list.thisUpdate, to: list.nextUpdate) {
                        news.append((listener, list, stage, subject))
                    }
                    ages[subject] = age
                }
            }
            gone += ages.keys.filter { !present.contains($0) }
            for subject in ages.keys where !present.contains(subject) { ages[subject] = nil }
        }
        for subject in gone { clear(subject) }
        for (listener, list, stage, subject) in news { tell(listener, list, stage, subject) }
    }

    private static func subject(_ listener: ListenerState, _ list: RevocationList) -> String {
        "\(listener.subject), CRL of \(list.issuer)"
    }

    private func clear(_ subject: String) {
        for code in ["CRL_HALF_OVER", "CRL_EXPIRES_SOON", "CRL_EXPIRED"] { health.clear(code, subject: subject) }
    }

    private func tell(
        _ listener: ListenerState, _ list: RevocationList, _ stage: ListAgeStateMachine.Stage, _ subject: String
    ) {
        clear(subject)
        let end = Timestamp(seconds: list.nextUpdate)
        let rules = listener.configuration.revocation?.rules ?? RevocationRules()
        switch stage {
        case .fresh: return
        case .half:
            raise("CRL_HALF_OVER", .info, subject, "half of the list's time is over; it ends at \(end)")
        case .late:
            raise(
                "CRL_EXPIRES_SOON", .warn, subject,
                "four fifths of the list's time are over; it ends at \(end), and then \(rules.consequence(list))")
        case .ended:
            let isClosed = rules.freshness == .strict
            raise(
                "CRL_EXPIRED", isClosed ? .error : .warn, subject,
                "the list has ended at \(end): \(rules.consequence(list))")
        }
        audit.report(
            AuditEvent(
                .revocationListAged, stage == .ended ? .failure : .success,
                fields: [
                    listener.label.0: .string(listener.name), "issuer": .string(list.issuer),
                    "number": list.number.map { .string($0) } ?? .null, "percent": .count(stage.rawValue),
                    "next_update": .string(end.description),
                ]))
    }

    private func raise(_ code: String, _ severity: Severity, _ subject: String, _ detail: String) {
        health.raise(
            HealthReason(
                code, severity, subject: subject, detail: detail,
                action: "put the authority's newest CRL into the file of its crl:; for that of the cluster, see why "
                    + "the plane gives no newer one"))
    }
}

extension RevocationRules {
    /// What an ended list means.
    fileprivate func consequence(_ list: RevocationList) -> String {
        switch freshness {
        case .strict: "everybody below this authority is refused"
        case .grace: "it is used on until \(Timestamp(seconds: end(of: list) ?? list.nextUpdate)), then all are refused"
        case .lastKnown: "it is used on"
        }
    }
}

extension RevocationList {
    /// For the audit log.
    fileprivate var members: [String: JSONValue] {
        [
            "issuer": .string(issuer), "number": number.map { .string($0) } ?? .null,
            "this_update": .string(Timestamp(seconds: thisUpdate).description),
            "next_update": .string(Timestamp(seconds: nextUpdate).description), "revoked": .count(count),
        ]
    }

    fileprivate func document(at now: Int64) -> JSONValue {
        var members = members
        let stage = ListAgeStateMachine.stage(at: now, from: thisUpdate, to: nextUpdate)
        members["age_seconds"] = .integer(max(0, now - thisUpdate))
        members["state"] = .string(now < thisUpdate ? "not-yet-valid" : "\(stage)")
        return .object(members)
    }
}

extension ListenerState {
    var revocation: Revocation? { standing?.trust.revocation }

    /// Of its part of the status document.
    func revocationMembers(at now: Int64) -> [String: JSONValue] {
        var members: [String: JSONValue] = [:]
        if let wanted = configuration.revocation {
            members["crl"] = [
                "check": .string(wanted.rules.depth.rawValue), "freshness": .string(wanted.rules.freshness.words),
                "cluster": .boolean(wanted.usesCluster), "files": .strings(wanted.files),
                "lists": .array((revocation?.lists ?? []).map { $0.document(at: now) }),
            ]
        }
        if !configuration.denyLists.isEmpty {
            members["deny_list"] = [
                "files": .strings(configuration.denyLists), "entries": .count(denyLists.reduce(0) { $0 + $1.count }),
            ]
        }
        return members
    }
}

extension RevocationRules.Freshness {
    fileprivate var words: String {
        switch self {
        case .strict: "strict"
        case .grace(let seconds): "grace \(seconds)s"
        case .lastKnown: "last-known"
        }
    }
}
