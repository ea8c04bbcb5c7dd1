import IO
import Synchronization

/// The one admission of the proxy, asked from every handshake lane and told from every data lane.
final class Admission: Sendable {
    typealias Action = AdmissionStateMachine.Action

    private let machine: Mutex<AdmissionStateMachine>
    private let origin = ContinuousClock.now
    /// Rung when the last connection has departed.
    private let emptied: Alarm

    init(limits: ProxyLimits, emptied: Alarm) {
        machine = Mutex(AdmissionStateMachine(limits: limits))
        self.emptied = emptied
    }

    /// `address`: nil while a listed proxy has yet to announce it.
    func arrived(_ id: UInt64, from address: SocketAddress?) -> Action {
        machine.withLock { $0.arrived(id, from: address.map { PeerNetwork($0) } ?? .unannounced, at: now) }
    }

    func announced(_ id: UInt64, from address: SocketAddress) -> Action {
        machine.withLock { $0.announced(id, from: PeerNetwork(address), at: now) }
    }

    func spoke(_ id: UInt64) { machine.withLock { $0.spoke(id) } }

    func handshakeRequested(_ id: UInt64) -> Action { machine.withLock { $0.handshakeRequested(id, at: now) } }

    func authenticated(_ id: UInt64) -> Action { machine.withLock { $0.authenticated(id) } }

    func misbehaved(_ id: UInt64) { machine.withLock { $0.misbehaved(id, at: now) } }

    func departed(_ id: UInt64) {
        let isEmpty = machine.withLock { machine in
            machine.departed(id)
            return machine.authenticatedCount + machine.unauthenticatedCount == 0
        }
        if isEmpty { emptied.ring() }
    }

    var authenticatedCount: Int { machine.withLock { $0.authenticatedCount } }
    var unauthenticatedCount: Int { machine.withLock { $0.unauthenticatedCount } }

    private var now: Duration { ContinuousClock.now - origin }
}
