import IO
import Reports
import Synchronization

/// What all lanes of one proxy share.
final class ProxyHouse: Sendable {
    let admission: Admission
    let reports: ProxyReports
    /// False: what a new connection does could not be told.
    let isAudited: @Sendable () -> Bool
    let cancels = CancelRegistry()
    /// By number.
    private let listenerNames: [String]
    /// Chosen for each proven connection: the data lane with the fewest.
    private let relays = Mutex<[Relay]>([])
    private let identifiers = Atomic<UInt64>(1)

    init(
        admission: Admission, reports: ProxyReports, listenerNames: [String], isAudited: @escaping @Sendable () -> Bool
    ) {
        self.isAudited = isAudited
        self.admission = admission
        self.reports = reports
        self.listenerNames = listenerNames
    }

    func begin(_ relays: [Relay]) { self.relays.withLock { $0 = relays } }

    func nextIdentifier() -> UInt64 { identifiers.wrappingAdd(1, ordering: .relaxed).oldValue }

    func misbehaved(_ id: UInt64, _ reason: RefusalReason) { report(admission.misbehaved(id, reason)) }

    func report(_ events: [BanEvent]) {
        for event in events { reports.changed(event, atListener: name(ofListener: event.ban.listener)) }
    }

    func name(ofListener number: Int) -> String { listenerNames[number] }

    /// Hands a connection to its data lane, where it stays for life.
    func place(_ connection: AuthorizedConnection) {
        let relays = self.relays.withLock { $0 }
        guard let relay = relays.min(by: { $0.figures.openCount < $1.figures.openCount }) else { return }
        relay.figures.opened()
        relay.submit { $0.floor.adopt(connection) }
    }
}
