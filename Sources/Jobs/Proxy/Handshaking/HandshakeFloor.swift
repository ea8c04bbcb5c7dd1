import IO
import Reports
import Synchronization

/// The connections of one handshake lane, and the ports that it accepts from. Owned by `Handshakes`.
final class HandshakeFloor {
    let ground: LaneGround
    let house: ProxyHouse
    private var occupants: [UInt64: any Occupant] = [:]
    private var acceptors: [Acceptor] = []
    private var lanes: [Handshakes] = []
    private weak var resident: Handshakes?
    private var ticks: [Duration: Deadline] = [:]
    private var probes: [ObjectIdentifier: BackendProbe] = [:]

    init(_ ground: LaneGround, _ house: ProxyHouse) {
        self.ground = ground
        self.house = house
    }

    func begin(on resident: Handshakes, among lanes: [Handshakes]) {
        self.resident = resident
        self.lanes = lanes
    }

    // MARK: Ports

    func open(_ port: OpenPort, _ listener: ListenerState) throws(IOError) {
        let acceptor = Acceptor(port, listener, self)
        try acceptor.start()
        acceptors.append(acceptor)
    }

    func closePorts() {
        for acceptor in acceptors { acceptor.stop() }
        acceptors = []
    }

    // MARK: Connections

    /// Chooses the lane for an accepted client, asks for admission, and makes room if it must.
    func arrived(_ socket: ClientSocket, at listener: ListenerState) {
        listener.counters.accepted.add()
        if listener.isShut.load(ordering: .relaxed) {
            return house.reports.refused(listener, socket, .backendExposed)
        }
        guard house.isAudited() else { return house.reports.refused(listener, socket, .auditFull) }
        let id = house.nextIdentifier()
        // Where it comes from is not known before a listed proxy has said it.
        let origin = listener.configuration.isAnnounced(by: socket.address) ? nil : socket.address
        switch house.admission.arrived(id, socket, from: origin, at: listener) {
        case .admit(let evictions): evictAnywhere(evictions)
        case .refuse(let excess):
            return house.reports.refused(listener, socket, excess.reason, detail: excess.description)
        }
        guard let chosen = lane(for: listener), chosen !== resident else { return adopt(id, socket, listener) }
        chosen.submit { $0.floor.adopt(id, socket, listener) }
    }

    /// A listener that signs with a token waits for it, on a lane on which nobody else does. OpenSSL could also leave
    /// such a handshake in its middle (ASYNC_start_job(3)), but on a stack of 32 KiB without a guard page, which our
    /// callbacks are not made for, and bound to a thread, which a lane changes.
    private func lane(for listener: ListenerState) -> Handshakes? {
        let owner = listener.configuration.hasTokenKey ? listener.number : nil
        return lanes.lazy.filter { $0.owner == owner }.min {
            $0.load.load(ordering: .relaxed) < $1.load.load(ordering: .relaxed)
        }
    }

    func adopt(_ id: UInt64, _ socket: ClientSocket, _ listener: ListenerState) {
        let pending = PendingConnection(id, socket, listener, self)
        settle(id, pending)
        pending.start()
    }

    /// `occupant` takes the place of the one before it under this number.
    func settle(_ id: UInt64, _ occupant: some Occupant) {
        if occupants.updateValue(occupant, forKey: id) == nil { resident?.load.wrappingAdd(1, ordering: .relaxed) }
    }

    /// The connection has gone to a data lane.
    func handedOver(_ id: UInt64) {
        if occupants.removeValue(forKey: id) != nil { resident?.load.wrappingSubtract(1, ordering: .relaxed) }
    }

    func departed(_ id: UInt64) {
        handedOver(id)
        house.admission.departed(id)
    }

    /// They may be on other lanes.
    func evictAnywhere(_ evictions: [AdmissionStateMachine.Eviction]) {
        for eviction in evictions {
            for lane in lanes {
                if lane === resident { evict(eviction) } else { lane.submit { $0.floor.evict(eviction) } }
            }
        }
    }

    private func evict(_ eviction: AdmissionStateMachine.Eviction) {
        occupants[eviction.id]?.abandon(.evicted, detail: eviction.excess.description)
    }

    func abandonAll() {
        for occupant in Array(occupants.values) { occupant.abandon(.drained) }
    }

    // MARK: Ticks

    /// Calls `body` again and again; one for each interval.
    func tick(every interval: Duration, _ body: @escaping @Sendable () -> Void) {
        ticks[interval] = Deadline(after: interval, on: ground.poller) { [weak self] in
            body()
            self?.tick(every: interval, body)
        }
    }

    /// Asks those databases of the listener whose turn it is.
    func probe(_ listener: ListenerState) {
        guard let rules = listener.backendHealth.rules else { return }
        for address in listener.backendHealth.takeDueProbes() {
            let probe = BackendProbe(address, of: listener, on: ground)
            let key = ObjectIdentifier(probe)
            probes[key] = probe
            probe.start(within: rules.timeout) { [weak self] failure in
                listener.backendHealth.probed(address, failure: failure)
                self?.probes[key] = nil
            }
        }
    }

    func stop() {
        for probe in probes.values { probe.stop() }
        probes = [:]
        for tick in ticks.values { tick.cancel() }
        closePorts()
        abandonAll()
        lanes = []
    }

    /// Later on this lane, when others had their turn.
    func later(_ body: @escaping @Sendable (HandshakeFloor) -> Void) { resident?.submit { body($0.floor) } }
}
