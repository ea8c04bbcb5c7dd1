import IO
import OpenSSL
import Reports
import Synchronization

/// Turns what happens to connections into numbers and audit events. Shared by all lanes; never blocks for long.
final class ProxyReports: Sendable {
    /// Refusals of known peers that are audited one by one.
    static let refusalsPerSecond = 100

    /// What refusals of strangers have in common that are told of by one event.
    struct Group: Hashable, Sendable {
        let listener: Int
        let reason: RefusalReason
        let prefix: PeerNetwork
    }

    private struct Budgets {
        var strangers = RefusalGroupsStateMachine<Group>()
        /// Of what strangers cause besides.
        var leftOut = 0
        var peers = RefusalBudgetStateMachine(perSecond: ProxyReports.refusalsPerSecond)
    }

    private let audit: AuditReporter
    private let origin = ContinuousClock.now
    private let budgets = Mutex(Budgets())

    init(audit: AuditReporter) { self.audit = audit }

    func opened(_ listener: ListenerState, _ addresses: [SocketAddress]) {
        audit.report(
            AuditEvent(
                .listenerOpened,
                fields: [
                    listener.label.0: .string(listener.name), "addresses": .strings(addresses.map(\.description)),
                    "protocol": .string(listener.configuration.databaseProtocol.rawValue),
                ]))
    }

    /// `ways`: none any more.
    func exposed(_ listener: ListenerState, _ ways: [String]) {
        audit.report(
            AuditEvent(
                .backendExposed, ways.isEmpty ? .success : .failure,
                fields: ["listener": .string(listener.name), "addresses": .strings(ways)]))
    }

    func refused(
        _ listener: ListenerState, _ client: ClientSocket, _ reason: RefusalReason,
        detail: @autoclosure () -> String? = nil, facts: TLSFacts? = nil, startup: StartupMessage? = nil,
        caller: LocalCaller? = nil
    ) {
        // Last: whoever sees it counted finds its event.
        defer { listener.counters.refused(reason) }
        if reason.isNoise { return }
        var suppressed = 0
        if facts == nil {
            guard isFirst(of: Group(listener, reason, client)) else { return }
        } else {
            guard case .report(let count) = budgets.withLock({ $0.peers.refused(at: now) }) else { return }
            suppressed = count
        }
        var fields = Self.fields(listener, client, facts, startup)
        if let caller { fields.merge(caller.fields) }
        fields["reason"] = .string(reason.rawValue)
        if let detail = detail() { fields["detail"] = .string(Self.short(detail)) }
        if suppressed > 0 { fields["suppressed"] = .count(suppressed) }
        audit.report(AuditEvent(.connectionRefused, .refused, fields: fields))
    }

    /// Told as sparingly as refusals, which it comes from.
    func changed(_ event: BanEvent, atListener name: String) {
        guard let suppressed = allowance else { return }
        let (ban, eventName, what, value): (Ban, AuditEventName, String, JSONValue) =
            switch event {
            case .began(let ban): (ban, .banBegan, "seconds", .count((ban.until - ban.began).components.seconds))
            case .lifted(let ban, let cause): (ban, .banLifted, "cause", .string(cause.rawValue))
            }
        var fields: AuditFields = [
            "network": .string(ban.network.description), "reason": .string(ban.reason.rawValue),
            "listener": .string(name), what: value,
        ]
        if suppressed > 0 { fields["suppressed"] = .count(suppressed) }
        audit.report(AuditEvent(eventName, fields: fields))
    }

    func accepted(_ connection: AuthorizedConnection) {
        connection.listener.counters.open.wrappingAdd(1, ordering: .relaxed)
        // A tunnel's is told when its remote end has been verified.
        guard let peer = connection.peer else { return }
        connection.listener.counters.authorized.add()
        connection.listener.counters.refusingClients.letIn(PeerNetwork(connection.socket.address))
        var fields = Self.fields(connection)
        fields["rule"] = .string(Self.short(peer.rule))
        audit.report(AuditEvent(.connectionAccepted, fields: fields))
    }

    func reached(_ connection: AuthorizedConnection, _ remote: RemoteEnd) {
        audit.report(AuditEvent(.connectionAccepted, fields: Self.fields(connection, remote)))
    }

    /// It was accepted in the dry run of its listener's rules.
    func tolerated(_ connection: AuthorizedConnection, _ objection: Objection) {
        let reason = RefusalReason(objection)
        connection.listener.counters.tolerated(reason)
        var fields = Self.fields(connection)
        fields["reason"] = .string(reason.rawValue)
        if let rule = objection.rule { fields["detail"] = .string(Self.short(rule)) }
        audit.report(AuditEvent(.connectionTolerated, fields: fields))
    }

    func closed(
        _ connection: AuthorizedConnection, _ reason: CloseReason, detail: String? = nil, received: UInt64,
        sent: UInt64, remote: RemoteEnd? = nil
    ) {
        connection.listener.counters.open.wrappingSubtract(1, ordering: .relaxed)
        var fields = Self.fields(connection, remote)
        fields["reason"] = .string(reason.rawValue)
        fields["bytes.received"] = .count(received)
        fields["bytes.sent"] = .count(sent)
        fields["seconds"] = .count((Timestamp.now.nanoseconds - connection.since.nanoseconds) / 1_000_000_000)
        if let detail { fields["detail"] = .string(Self.short(detail)) }
        if reason.isRefusal { connection.listener.counters.cut.add() }
        let isGood = reason == .finished || reason == .idle || reason == .drained
        let outcome: AuditOutcome = isGood ? .success : reason.isRefusal ? .refused : .failure
        audit.report(AuditEvent(.connectionClosed, outcome, fields: fields))
    }

    /// Admitted, but the database, or the remote end, is not reached.
    func lost(_ connection: AuthorizedConnection, _ reason: RefusalReason, detail: String) {
        connection.listener.counters.open.wrappingSubtract(1, ordering: .relaxed)
        refused(
            connection.listener, connection.socket, reason, detail: detail, facts: connection.facts,
            startup: connection.startup, caller: connection.caller)
    }

    func cancelForwarded(_ listener: ListenerState, _ client: ClientSocket, session: UInt64, facts: TLSFacts?) {
        listener.counters.cancelsForwarded.add()
        let fields = Self.fields(listener, client, facts, nil, connection: session)
        audit.report(AuditEvent(.cancelForwarded, fields: fields))
    }

    func cancelDropped(_ listener: ListenerState, _ client: ClientSocket, facts: TLSFacts?) {
        listener.counters.cancelsDropped.add()
        guard let suppressed = allowance else { return }
        var fields = Self.fields(listener, client, facts, nil)
        if suppressed > 0 { fields["suppressed"] = .count(suppressed) }
        audit.report(AuditEvent(.cancelDropped, .refused, fields: fields))
    }

    /// Once a second: tells of refusals that were counted.
    func tick(_ listeners: [ListenerState]) {
        let (sums, suppressed) = budgets.withLock { ($0.strangers.ticked(at: now), $0.peers.ticked(at: now)) }
        report(sums, listeners)
        guard suppressed > 0 else { return }
        audit.report(
            AuditEvent(.connectionRefused, .refused, fields: ["reason": "flood", "suppressed": .count(suppressed)]))
    }

    /// Tells of what was counted and would have been told of later.
    func end(_ listeners: [ListenerState]) { report(budgets.withLock { $0.strangers.ended() }, listeners) }

    private func report(_ sums: [RefusalGroupsStateMachine<Group>.Sum], _ listeners: [ListenerState]) {
        for sum in sums {
            let listener = sum.group.flatMap { group in listeners.first { $0.number == group.listener } }
            audit.report(Self.event(of: sum, label: listener.map { ($0.label.0, $0.name) }))
        }
    }

    /// `label`: of the group's listener.
    static func event(of sum: RefusalGroupsStateMachine<Group>.Sum, label: (String, String)?) -> AuditEvent {
        var fields: AuditFields = ["count": .count(sum.count), "reason": "flood"]
        if let group = sum.group {
            fields["reason"] = .string(group.reason.rawValue)
            fields["network"] = .string(group.prefix.description)
        }
        if let label { fields[label.0] = .string(label.1) }
        return AuditEvent(.connectionRefused, .refused, fields: fields)
    }

    private func isFirst(of group: Group) -> Bool {
        budgets.withLock { $0.strangers.refused(group, at: now) == .report }
    }

    /// How many were left out before; nil: this one too.
    private var allowance: Int? {
        budgets.withLock { budgets in
            guard budgets.strangers.spend(at: now) else {
                budgets.leftOut += 1
                return nil
            }
            defer { budgets.leftOut = 0 }
            return budgets.leftOut
        }
    }

    private var now: Duration { ContinuousClock.now - origin }

    private static func fields(_ connection: AuthorizedConnection, _ remote: RemoteEnd? = nil) -> AuditFields {
        var fields = fields(
            connection.listener, connection.socket, remote?.facts ?? connection.facts, connection.startup,
            connection: connection.id)
        if let remote { fields["remote.address"] = .string(remote.address.description) }
        if let caller = connection.caller { fields.merge(caller.fields) }
        return fields
    }

    /// In the order of their names, as far as it goes.
    private static func fields(
        _ listener: ListenerState, _ client: ClientSocket, _ facts: TLSFacts?, _ startup: StartupMessage?,
        connection: UInt64? = nil
    ) -> AuditFields {
        var fields = AuditFields(room: 20)
        let isTunnel = listener.configuration.tunnel != nil
        if let carrier = client.carrier { fields["carrier.address"] = .string(carrier.description) }
        if let connection { fields["connection"] = .count(connection) }
        if let database = startup?.database { fields["database"] = .string(short(database)) }
        fields[isTunnel ? "tunnel" : "listener"] = .string(listener.name)
        fields["peer.address"] = .string(client.address.description)
        if let leaf = facts?.chain.first {
            fields[isTunnel ? "remote.issuer" : "peer.issuer"] = .string(short(leaf.issuer))
            fields[isTunnel ? "remote.serial" : "peer.serial"] = .string(leaf.serial)
            fields[isTunnel ? "remote.subject" : "peer.subject"] = .string(short(leaf.subject))
        }
        if startup?.isReplication == true { fields["replication"] = true }
        if let facts {
            fields["tls.cipher"] = .string(facts.cipher)
            if facts.ticket == .resumed { fields["tls.resumed"] = true }
            fields["tls.version"] = .string(facts.version)
        }
        if let user = startup?.user { fields["user"] = .string(short(user)) }
        return fields
    }

    /// A peer chooses how long its names are; an event must stay small.
    static func short(_ text: String) -> String {
        text.utf8.count <= 256 || text.count <= 256 ? text : text.prefix(255) + "…"
    }

    static func short(_ bytes: [UInt8]) -> String { short(String(decoding: bytes.prefix(256), as: UTF8.self)) }
}

extension ProxyReports.Group {
    fileprivate init(_ listener: ListenerState, _ reason: RefusalReason, _ client: ClientSocket) {
        self.init(
            listener: listener.number, reason: reason, prefix: PeerNetwork(exactly: client.address).prefix)
    }
}
