import IO
import Reports
import Synchronization

/// The one admission of the proxy, asked from every handshake lane and told from every data lane.
final class Admission: Sendable {
    private let machine: Mutex<AdmissionStateMachine>
    /// Those in effect.
    private let present: Mutex<ProxyLimits>
    private let origin = ContinuousClock.now
    /// Rung when the last connection has departed.
    private let emptied: Alarm

    init(limits: ProxyLimits, listeners: [ListenerConfiguration], descriptors: Int?, emptied: Alarm) {
        machine = Mutex(
            AdmissionStateMachine(
                limits: limits, listeners: listeners.map { ($0.name, $0.limits) }, descriptors: descriptors))
        present = Mutex(limits)
        self.emptied = emptied
    }

    var limits: ProxyLimits { present.withLock { $0 } }

    /// Newcomers are held to them; nobody who is there has to go. `ofListeners`: by name.
    func change(_ limits: ProxyLimits, ofListeners: [String: ProxyLimits.PerListener]) {
        present.withLock { $0 = limits }
        machine.withLock { $0.limitsChanged(to: limits, ofListeners: ofListeners, at: now) }
    }

    /// `origin`: nil while a listed proxy has yet to announce it.
    func arrived(
        _ id: UInt64, _ socket: ClientSocket, from origin: SocketAddress?, at listener: ListenerState
    ) -> AdmissionStateMachine.Arrival {
        var newcomer = AdmissionStateMachine.Newcomer(
            id: id, network: origin.map { PeerNetwork($0) }, listener: listener.number)
        newcomer.descriptor = Int(socket.stream.rawValue)
        newcomer.isReserved = origin.map(isReserved) ?? false
        newcomer.isOfTunnel = listener.configuration.tunnel != nil
        return machine.withLock { $0.arrived(newcomer, at: now) }
    }

    func announced(_ id: UInt64, from address: SocketAddress) -> AdmissionStateMachine.Arrival {
        let hasPlace = isReserved(address)
        return machine.withLock {
            $0.announced(id, from: PeerNetwork(address), isReserved: hasPlace, at: now)
        }
    }

    private func isReserved(_ address: SocketAddress) -> Bool {
        let networks = present.withLock { $0.reserved.networks }
        if networks.isEmpty { return false }
        let exact = PeerNetwork(exactly: address)
        return networks.contains { $0.contains(exact) }
    }

    func spoke(_ id: UInt64) { machine.withLock { $0.spoke(id) } }

    func handshakeRequested(_ id: UInt64) -> AdmissionStateMachine.Turn {
        machine.withLock { $0.handshakeRequested(id, at: now) }
    }

    /// `peer`: nil at a tunnel, whose clients are this node's own.
    func authenticated(_ id: UInt64, as peer: PeerAttributes?) -> AdmissionStateMachine.Verdict {
        var claim = AdmissionStateMachine.Claim()
        if let peer {
            // Once one is counted, all are: a limit that comes back finds them.
            claim.identity = machine.withLock { $0.identities != nil } ? PeerIdentity(peer) : nil
            claim.isReserved = present.withLock { $0.reserved.identities }.contains { $0.matches(peer) }
        }
        return machine.withLock { $0.authenticated(id, as: claim, at: now) }
    }

    func departed(_ id: UInt64) {
        let isEmpty = machine.withLock { machine in
            machine.departed(id)
            return machine.authenticatedCount + machine.unauthenticatedCount == 0
        }
        if isEmpty { emptied.ring() }
    }

    var authenticatedCount: Int { machine.withLock { $0.authenticatedCount } }
    var unauthenticatedCount: Int { machine.withLock { $0.unauthenticatedCount } }
    /// How many places that are reserved are taken.
    var reservedCount: (unauthenticated: Int, authenticated: Int) {
        machine.withLock { ($0.reservedSilentCount, $0.reservedAuthenticatedCount) }
    }

    // MARK: what runs out

    func memoryObserved(_ readings: [MemoryReading]) { machine.withLock { $0.memoryObserved(readings) } }

    /// Why newcomers are turned away; nil: they are not.
    var pressure: Pressure? { machine.withLock { $0.pressure(at: now) } }

    // MARK: bans

    func misbehaved(_ id: UInt64, _ reason: RefusalReason) -> [BanEvent] {
        machine.withLock { $0.misbehaved(id, reason, at: now) }
    }

    func expireBans() -> [BanEvent] { machine.withLock { $0.expireBans(at: now) } }
    func liftBans(_ network: PeerNetwork?) -> [BanEvent] { machine.withLock { $0.liftBans(network) } }

    var banCount: Int { machine.withLock { $0.bans.count } }

    /// Those in force, the one that ends first in front, with the time that each has left.
    var bans: [(ban: Ban, left: Duration)] {
        let all = machine.withLock { $0.bans.all }
        let now = self.now
        return all.filter { $0.until > now }.sorted { $0.until < $1.until }.map { (ban: $0, left: $0.until - now) }
    }

    private var now: Duration { ContinuousClock.now - origin }
}
