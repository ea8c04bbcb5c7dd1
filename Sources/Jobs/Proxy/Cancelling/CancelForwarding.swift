import IO

/// Brings one CancelRequest to the database and waits until the database has taken it, then lets the client go: libpq
/// takes the end of the connection for the answer.
final class CancelForwarding: Watcher, Occupant {
    private let ground: LaneGround
    private let backend: BackendSocket
    private var leftovers: Leftovers
    private var isConnected = false
    private var watch: WatchToken?
    private var deadline: Deadline?
    private let done: () -> Void

    init?(
        _ request: CancelRequest, to address: SocketAddress, on ground: LaneGround, done: @escaping () -> Void
    ) {
        guard let stream = try? StreamSocket.connect(to: address) else { return nil }
        backend = BackendSocket(stream, to: address)
        self.ground = ground
        self.done = done
        leftovers = Leftovers(request.packet)
    }

    func start(within limit: Duration) {
        guard let token = try? ground.poller.watch(backend.stream.rawValue, self) else { return finish() }
        watch = token
        deadline = Deadline(after: limit, on: ground.poller) { [weak self] in self?.finish() }
    }

    func becameReady(_ readiness: Readiness) {
        if !isConnected {
            guard backend.stream.connectError() == nil else { return finish() }
            isConnected = true
        }
        if case .failed = leftovers.flush(to: backend.stream) { return finish() }
        guard leftovers.isEmpty else { return }
        switch backend.stream.read(into: ground.plain) {
        case .bytes, .ended, .failed: finish()
        case .wouldBlock: break
        }
        ground.plain.removeAll()
    }

    func abandon(_ reason: RefusalReason) { finish() }

    private func finish() {
        deadline?.cancel()
        if let watch { ground.poller.unwatch(watch) }
        watch = nil
        done()
    }
}
