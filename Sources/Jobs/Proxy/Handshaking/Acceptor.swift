import IO

/// Takes clients out of one port's backlog, as `AcceptStateMachine` decides. Owned by the floor of its lane.
final class Acceptor: Watcher {
    private let port: OpenPort
    private let listener: ListenerState
    private unowned let floor: HandshakeFloor
    private var machine = AcceptStateMachine()
    /// What the spare one is a duplicate of: a duplicate needs one number only, a new pipe would need two.
    private let original: Descriptor?
    private var spare: Descriptor?
    private var watch: WatchToken?
    private var resting: Deadline?

    init(_ port: OpenPort, _ listener: ListenerState, _ floor: HandshakeFloor) {
        self.port = port
        self.listener = listener
        self.floor = floor
        var pipe = try? Pipe()
        original = pipe?.takeReader()
    }

    func start() throws(IOError) {
        refill()
        watch = try floor.ground.poller.watch(port.socket.rawValue, for: .readable, self)
    }

    func stop() {
        resting?.cancel()
        if let watch { floor.ground.poller.unwatch(watch) }
        watch = nil
    }

    func becameReady(_ readiness: Readiness) { perform(machine.becameReady()) }

    private func perform(_ first: AcceptStateMachine.Action) {
        var action = first
        // A client's verdict may close the ports.
        while watch != nil {
            switch action {
            case .accept: action = accept()
            case .shed: action = shed()
            case .rest(let time):
                resting = Deadline(after: time, on: floor.ground.poller) { [weak self] in self?.resume() }
                return
            case .wait: return
            }
        }
    }

    private func accept() -> AcceptStateMachine.Action {
        switch port.socket.accept() {
        case .accepted(let stream, let address):
            floor.arrived(ClientSocket(stream, address), at: listener)
            return machine.accepted()
        case .failed: return machine.failed()
        case .wouldBlock: return machine.ranDry()
        case .exhausted: return machine.ranOut()
        }
    }

    private func shed() -> AcceptStateMachine.Action {
        spare = nil
        if case .accepted(let stream, _) = port.socket.accept() {
            stream.reset()
            listener.counters.refused(.noDescriptors)
        }
        refill()
        return machine.shed()
    }

    private func resume() {
        resting = nil
        refill()
        perform(machine.rested())
    }

    private func refill() {
        guard spare == nil else { return }
        spare = try? original?.duplicate()
    }
}
