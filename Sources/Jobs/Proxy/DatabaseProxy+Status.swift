import IO
import OpenSSL
import Reports
import Synchronization

extension DatabaseProxy {
    func tick() {
        house.reports.tick(listeners)
        house.report(house.admission.expireBans())
        lookAtPressure()
        for listener in listeners { listener.ticketKeys?.rotate() }
        let now = Timestamp.now.seconds
        for relay in relays where relay.figures.earliestExpiry <= now { relay.submit { $0.floor.endExpired(at: now) } }
        for listener in listeners where listener.trustEnded(at: now) { review(listener) }
        for listener in listeners {
            guard let rules = listener.backendHealth.rules else { continue }
            listener.lookup?.refresh(every: rules.every)
            handshakes.first?.submit { $0.floor.probe(listener) }
        }
        revocationReports.looked(at: now, listeners)
        publishStatus()
    }

    func publishStatus() {
        let credentials = credentials.withLock { $0 }
        let isDraining = credentials.isDraining
        for listener in listeners {
            let wantsList = listener.configuration.revocation?.usesCluster == true && credentials.revocation == nil
            let isRest = credentials.identities[listener.configuration.certificateRole] != nil
            listener.lacksList.store(wantsList && isRest && listener.context == nil, ordering: .relaxed)
        }
        health.publish(
            section: "proxy",
            [
                "listeners": documents(ofTunnels: false, isDraining), "tunnels": documents(ofTunnels: true, isDraining),
                "connections": .count(house.admission.authenticatedCount),
                "unauthenticated": .count(house.admission.unauthenticatedCount),
                "reserved": [
                    "connections": .count(house.admission.reservedCount.authenticated),
                    "unauthenticated": .count(house.admission.reservedCount.unauthenticated),
                ],
                "bans": .count(house.admission.banCount),
                "stalled_bytes": .count(relays.reduce(0) { $0 + $1.figures.pinnedBytes }),
            ])
        let unbound = listeners.filter { $0.addresses.isEmpty }.map(\.name)
        health.set(
            ReadinessCondition(
                "listeners", isMet: unbound.isEmpty || isDraining,
                detail: unbound.isEmpty ? "all bound" : "not bound: \(unbound.joined(separator: ", "))"))
        authorityReports.looked(at: Timestamp.now.seconds) { [self] in trustedAuthorities }
        for listener in listeners {
            tellOfDryRun(listener)
            tellOfBackends(listener)
            tellOfWaiting(listener)
        }
    }

    private func tellOfWaiting(_ listener: ListenerState) {
        let (subject, lacksList) = (listener.subject, listener.lacksList.load(ordering: .relaxed))
        if !lacksList { health.clear("LISTENER_WITHOUT_CRL", subject: subject) }
        if listener.context != nil || lacksList { health.clear("LISTENER_WITHOUT_CERTIFICATE", subject: subject) }
        if listener.context != nil { return }
        if lacksList {
            return health.raise(
                HealthReason(
                    "LISTENER_WITHOUT_CRL", .warn, subject: subject,
                    detail: "connections are refused: the cluster's CRLs have not come from the plane yet",
                    action: "wait for them; if they do not come, other reasons say why"))
        }
        health.raise(
            HealthReason(
                "LISTENER_WITHOUT_CERTIFICATE", .warn, subject: subject,
                detail: "connections are refused: there is no certificate of role "
                    + "\(listener.configuration.certificateRole), or no trust, yet",
                action: "wait for its enrolment if the plane issues it, or mend its files: "
                    + "other reasons and nodeguard config check say what is wrong"))
    }

    private func documents(ofTunnels isWanted: Bool, _ isDraining: Bool) -> JSONValue {
        .array(
            listeners.filter { ($0.configuration.tunnel != nil) == isWanted }
                .map { $0.document(isDraining: isDraining) })
    }

    /// As long as it lasts: rules that refuse nobody are easily forgotten.
    private func tellOfDryRun(_ listener: ListenerState) {
        let subject = listener.subject
        guard listener.policy.mode == .dryRun else {
            return health.clear("LISTENER_IN_DRY_RUN", subject: subject)
        }
        let count = listener.counters.tolerated.values.reduce(0, +)
        health.raise(
            HealthReason(
                "LISTENER_IN_DRY_RUN", .warn, subject: subject,
                detail: "the rules refuse nobody: every client with a trusted certificate gets through; "
                    + "\(count) so far would have been refused",
                action: "look at the events connection.tolerated, then set mode: enforce and reload"))
    }

    private func tellOfBackends(_ listener: ListenerState) {
        if listener.configuration.tunnel != nil { return tellOfRemote(listener) }
        let subject = listener.subject
        let findings = listener.backendHealth.findings
        let down = findings.filter { $0.state == .down }
        guard !down.isEmpty else { return health.clear("BACKEND_DOWN", subject: subject) }
        health.raise(
            HealthReason(
                "BACKEND_DOWN", down.count == findings.count ? .error : .warn, subject: subject,
                detail: down.map { "\($0.address): \($0.reason ?? "no answer")" }.joined(separator: "; "),
                action: "look at the database server; clients are sent there again once a probe succeeds"))
    }

    /// That another node is away is no failure of this one.
    private func tellOfRemote(_ tunnel: ListenerState) {
        let findings = tunnel.backendHealth.findings
        var flaws = findings.filter { $0.state == .down }.map { "\($0.address): \($0.reason ?? "no answer")" }
        if tunnel.backendHealth.rules != nil, findings.isEmpty, let failure = tunnel.lookup?.failure {
            flaws.append(failure)
        }
        guard !flaws.isEmpty else { return health.clear("REMOTE_DOWN", subject: tunnel.subject) }
        health.raise(
            HealthReason(
                "REMOTE_DOWN", .warn, subject: tunnel.subject, detail: flaws.joined(separator: "; "),
                action: "look at the other node; connections go there again once a probe succeeds"))
    }

    func reportAlgorithms() {
        guard configuration.algorithms == .trimmed, !AlgorithmSelection.isTrimmedUsable else { return }
        health.raise(
            HealthReason(
                "TLS_ALGORITHMS_UNTRIMMED", .info,
                detail: "\(OpenSSLLibrary.version) does not pass the test of its trimmed algorithms: all of them are "
                    + "used, and handshakes cost more",
                action: "write proxy: algorithms: all to have it so, and report the version"))
    }

    /// The metrics outlive the proxy, and must not keep it.
    func registerGauges(_ metrics: Metrics) {
        metrics.gauge("nodeguard_proxy_connections_open", "Authorized connections") { [weak self] in
            (self?.listeners ?? []).map { ([$0.label], Double($0.counters.openCount)) }
        }
        metrics.gauge("nodeguard_proxy_connections_unauthenticated", "Connections that are not proven yet") {
            [weak self] in
            [([], Double(self?.house.admission.unauthenticatedCount ?? 0))]
        }
        metrics.gauge("nodeguard_proxy_bans_active", "Addresses that are refused for a while") { [weak self] in
            [([], Double(self?.house.admission.banCount ?? 0))]
        }
        // The earliest of one authority: it may have two keys.
        metrics.gauge("nodeguard_crl_next_update_timestamp_seconds", "When the next CRL of an authority is due") {
            [weak self] in
            (self?.listeners ?? []).flatMap { listener in
                Dictionary(grouping: listener.revocation?.lists ?? [], by: \.issuer).map { issuer, lists in
                    ([listener.label, ("issuer", issuer)], Double(lists.map(\.nextUpdate).min() ?? 0))
                }
            }
        }
        metrics.gauge("nodeguard_crl_entries", "Certificates that the CRLs of an authority revoke") {
            [weak self] in
            (self?.listeners ?? []).flatMap { listener in
                Dictionary(grouping: listener.revocation?.lists ?? [], by: \.issuer).map { issuer, lists in
                    ([listener.label, ("issuer", issuer)], Double(lists.reduce(0) { $0 + $1.count }))
                }
            }
        }
        metrics.gauge("nodeguard_proxy_backend_up", "Whether a database answers its probes") { [weak self] in
            (self?.listeners ?? []).flatMap { listener in
                listener.backendHealth.findings.filter { $0.state != .unknown }.map { finding in
                    (
                        [listener.label, ("backend", finding.address.description)],
                        finding.state == .up ? 1 : 0
                    )
                }
            }
        }
        metrics.gauge("nodeguard_proxy_stalled_bytes", "Memory that slow readers pin") { [weak self] in
            (self?.relays ?? []).map { ([("lane", $0.lane.label)], Double($0.figures.pinnedBytes)) }
        }
    }
}
