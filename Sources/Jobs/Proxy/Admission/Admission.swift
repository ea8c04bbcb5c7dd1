import IO
import Reports
import Synchronization

/// The one admission of the proxy, asked from every handshake lane and told from every data lane.
final class Admission: Sendable {
    private let machine: Mutex<AdmissionStateMachine>
    private let origin = ContinuousClock.now
    /// Rung when the last connection has departed.
    private let emptied: Alarm

    init(limits: ProxyLimits, emptied: Alarm) {
        machine = Mutex(AdmissionStateMachine(limits: limits))
        self.emptied = emptied
    }

    func arrived(_ id: UInt64, from address: SocketAddress, at listener: ListenerState) -> AdmissionStateMachine.Arrival
    {
        let newcomer = AdmissionStateMachine.Newcomer(
            id: id, network: PeerNetwork(address), listener: listener.number)
        return machine.withLock { $0.arrived(newcomer, at: now) }
    }

    func spoke(_ id: UInt64) { machine.withLock { $0.spoke(id) } }

    func handshakeRequested(_ id: UInt64) -> AdmissionStateMachine.Turn {
        machine.withLock { $0.handshakeRequested(id, at: now) }
    }

    func authenticated(_ id: UInt64) -> AdmissionStateMachine.Verdict { machine.withLock { $0.authenticated(id) } }

    func departed(_ id: UInt64) {
        let isEmpty = machine.withLock { machine in
            machine.departed(id)
            return machine.authenticatedCount + machine.unauthenticatedCount == 0
        }
        if isEmpty { emptied.ring() }
    }

    var authenticatedCount: Int { machine.withLock { $0.authenticatedCount } }
    var unauthenticatedCount: Int { machine.withLock { $0.unauthenticatedCount } }

    // MARK: bans

    func misbehaved(_ id: UInt64, _ reason: RefusalReason) -> [BanEvent] {
        machine.withLock { $0.misbehaved(id, reason, at: now) }
    }

    func expireBans() -> [BanEvent] { machine.withLock { $0.expireBans(at: now) } }
    func liftBans(_ network: PeerNetwork?) -> [BanEvent] { machine.withLock { $0.liftBans(network) } }

    var banCount: Int { machine.withLock { $0.bans.count } }

    /// Those in force, the one that ends first in front, with the time that each has left.
    var bans: [(ban: Ban, left: Duration)] {
        let (all, now) = machine.withLock { ($0.bans.all, now) }
        return all.sorted { $0.until < $1.until }.map { ($0, $0.until - now) }.filter { $0.1 > .zero }
    }

    private var now: Duration { ContinuousClock.now - origin }
}
