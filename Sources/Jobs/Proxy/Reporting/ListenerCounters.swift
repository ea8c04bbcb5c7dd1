import IO
import OpenSSL
import Reports
import Synchronization

/// The numbers of one listener, counted on all lanes.
final class ListenerCounters: Sendable {
    let accepted: Counter
    let authorized: Counter
    let denied: Counter
    let handshakesFinished: Counter
    let handshakesFailed: Counter
    let ticketsResumed: Counter
    let ticketsDeclined: Counter
    let handshakeSeconds: Histogram
    let connectSeconds: Histogram
    let bytesReceived: Counter
    let bytesSent: Counter
    let cancelsForwarded: Counter
    let cancelsDropped: Counter
    let truncated: Counter
    let keyUpdateFloods: Counter
    let cut: Counter
    /// Alerts of clients that do not know who has certified us.
    let unknownCA: Counter
    let refusingClients = RefusingClients()
    let issuers = IssuerCounts()
    let open = Atomic<Int>(0)
    private let refusals = Mutex<[RefusalReason: Counter]>([:])
    private let tolerations = Mutex<[RefusalReason: Counter]>([:])
    private let metrics: Metrics
    private let label: (String, String)

    /// `label`: of each of its series.
    init(label: (String, String), metrics: Metrics) {
        self.metrics = metrics
        self.label = label
        func counter(_ family: String, _ help: String, _ labels: (String, String)...) -> Counter {
            metrics.counter("nodeguard_proxy_" + family, help, labels: [label] + labels)
        }
        accepted = counter("connections_accepted", "Connections that were accepted from the kernel")
        authorized = counter("authorizations", "Verdicts of the access policy", ("result", "allow"))
        denied = counter("authorizations", "Verdicts of the access policy", ("result", "deny"))
        handshakesFinished = counter("handshakes", "TLS handshakes by result", ("result", "finished"))
        handshakesFailed = counter("handshakes", "TLS handshakes by result", ("result", "failed"))
        let tickets = "Session tickets that clients have shown, by result"
        ticketsResumed = counter("session_tickets", tickets, ("result", "resumed"))
        ticketsDeclined = counter("session_tickets", tickets, ("result", "declined"))
        bytesReceived = counter("bytes", "Decrypted bytes that were relayed", ("direction", "received"))
        bytesSent = counter("bytes", "Decrypted bytes that were relayed", ("direction", "sent"))
        cancelsForwarded = counter("cancels", "Cancel requests by result", ("result", "forwarded"))
        cancelsDropped = counter("cancels", "Cancel requests by result", ("result", "dropped"))
        truncated = counter("connections_truncated", "Clients that ended without the end of TLS")
        keyUpdateFloods = counter("key_update_floods", "Sessions that ended because of too many TLS key updates")
        unknownCA = counter(
            "alerts_received", "Alerts that ended a handshake, by what clients object to", ("alert", "unknown-ca"))
        cut = counter("connections_cut", "Sessions that ended because their peer may no longer be let in")
        handshakeSeconds = metrics.histogram(
            "nodeguard_proxy_handshake_seconds", "Time of a TLS handshake", labels: [label])
        connectSeconds = metrics.histogram(
            "nodeguard_proxy_backend_connect_seconds", "Time to connect to the database", labels: [label])
    }

    func failed(_ failure: TLSFailure, from client: SocketAddress) {
        handshakesFailed.add()
        guard failure.isUnknownCA else { return }
        unknownCA.add()
        refusingClients.refused(PeerNetwork(client))
    }

    func finished(_ ticket: TicketOutcome) {
        handshakesFinished.add()
        switch ticket {
        case .none: break
        case .resumed: ticketsResumed.add()
        case .declined: ticketsDeclined.add()
        }
    }

    func refused(_ reason: RefusalReason) {
        count(reason, in: refusals, "connections_refused", "Connections that became no session, by reason")
    }

    /// In a dry run.
    func tolerated(_ reason: RefusalReason) {
        count(reason, in: tolerations, "connections_tolerated", "Sessions that the rules would have refused, by reason")
    }

    private func count(
        _ reason: RefusalReason, in all: borrowing Mutex<[RefusalReason: Counter]>, _ family: String, _ help: String
    ) {
        let counter = all.withLock { all in
            if let known = all[reason] { return known }
            let new = metrics.counter(
                "nodeguard_proxy_" + family, help, labels: [label, ("reason", reason.rawValue)])
            all[reason] = new
            return new
        }
        counter.add()
    }

    /// By reason, those that happened.
    var refused: [String: UInt64] { Self.values(refusals) }
    var tolerated: [String: UInt64] { Self.values(tolerations) }

    private static func values(_ all: borrowing Mutex<[RefusalReason: Counter]>) -> [String: UInt64] {
        let counters = all.withLock { $0 }
        return Dictionary(uniqueKeysWithValues: counters.map { ($0.key.rawValue, $0.value.value) })
    }

    var openCount: Int { open.load(ordering: .relaxed) }
}
