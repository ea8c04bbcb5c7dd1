import IO

/// Takes clients out of one port's backlog. Owned by the floor of its lane.
///
/// When no descriptor is left the kernel keeps the connection in the backlog, and accepting again at once would spin:
/// a spare descriptor is given up to accept and close one client, then the port rests for a moment.
final class Acceptor: Watcher {
    /// Clients that are taken at a time, before others on the lane have their turn.
    private static let turn = 16
    private static let rest = Duration.milliseconds(100)

    private let port: OpenPort
    private let listener: ListenerState
    private unowned let floor: HandshakeFloor
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

    func becameReady(_ readiness: Readiness) {
        if resting == nil { accept() }
    }

    private func accept() {
        guard watch != nil else { return }
        for _ in 0..<Self.turn {
            switch port.socket.accept() {
            case .accepted(let stream, let address): floor.arrived(ClientSocket(stream, address), at: listener)
            case .wouldBlock: return
            case .failed: continue
            case .exhausted:
                shed()
                return restABit()
            }
        }
        // The backlog may hold more, and will not be announced again (edge-triggered).
        resting = Deadline(after: .zero, on: floor.ground.poller) { [weak self] in self?.resume() }
    }

    /// Lets one client know that there is no room, instead of leaving it in the backlog.
    private func shed() {
        spare = nil
        if case .accepted(let stream, _) = port.socket.accept() {
            stream.reset()
            listener.counters.refused(.noDescriptors)
        }
        refill()
    }

    private func restABit() {
        resting = Deadline(after: Self.rest, on: floor.ground.poller) { [weak self] in self?.resume() }
    }

    private func resume() {
        resting = nil
        refill()
        accept()
    }

    private func refill() {
        guard spare == nil else { return }
        spare = try? original?.duplicate()
    }
}
