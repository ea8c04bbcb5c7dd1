import IO
import Reports
import Synchronization

/// What all lanes of one proxy share.
final class ProxyHouse: Sendable {
    let admission: Admission
    let reports: ProxyReports
    let cancels = CancelRegistry()
    /// Chosen for each proven connection: the data lane with the fewest.
    private let relays = Mutex<[Relay]>([])
    private let identifiers = Atomic<UInt64>(1)

    init(admission: Admission, reports: ProxyReports) {
        self.admission = admission
        self.reports = reports
    }

    func begin(_ relays: [Relay]) { self.relays.withLock { $0 = relays } }

    func nextIdentifier() -> UInt64 { identifiers.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// Hands a connection to its data lane, where it stays for life.
    func place(_ connection: AuthorizedConnection) {
        let relays = self.relays.withLock { $0 }
        guard let relay = relays.min(by: { $0.figures.openCount < $1.figures.openCount }) else { return }
        relay.figures.opened()
        relay.submit { $0.floor.adopt(connection) }
    }
}
