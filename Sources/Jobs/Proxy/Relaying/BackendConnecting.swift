import IO
import Reports

/// Connects the database for one authorized client, trying its addresses in order; ends as a `RelayedConnection`, or
/// as a `Farewell` that tells the client in its own protocol that the database is down.
final class BackendConnecting: Watcher, Occupant {
    private let connection: AuthorizedConnection
    private unowned let floor: RelayFloor
    private var addresses: ArraySlice<SocketAddress>
    private var backend: BackendSocket?
    private var watch: WatchToken?
    private var deadline: Deadline?
    private var lastError = "no address answered in time"
    private let began = ContinuousClock.now

    init(_ connection: AuthorizedConnection, _ floor: RelayFloor) {
        self.connection = connection
        self.floor = floor
        addresses = connection.listener.configuration.backend[...]
    }

    func start() {
        let limit = connection.listener.configuration.timeouts.connect
        deadline = Deadline(after: limit, on: floor.ground.poller) { [weak self] in self?.failed() }
        tryNext()
    }

    func becameReady(_ readiness: Readiness) {
        guard let backend else { return }
        if let error = backend.stream.connectError() {
            lastError = error.description
            return tryNext()
        }
        guard readiness.contains(.writable) else { return }
        stop()
        connection.listener.counters.connectSeconds.observe((ContinuousClock.now - began).seconds)
        guard let relayed = RelayedConnection(connection, backend, floor) else { return floor.departed(connection.id) }
        floor.settle(connection.id, relayed)
        relayed.start()
    }

    func abandon(_ reason: RefusalReason) {
        stop()
        sayGoodbye()
        floor.house.reports.closed(connection, .drained, received: 0, sent: 0)
        floor.departed(connection.id)
    }

    /// Its StartupMessage is here, so a PostgreSQL client listens; it is not waited for.
    private func sayGoodbye() {
        guard connection.startup != nil, connection.unsent.isEmpty, let words = CloseReason.drained.words else {
            return
        }
        connection.session.attach(floor.ground.transport)
        if connection.session.send(words.bytes) { connection.session.close() }
        var rest = Leftovers()
        _ = rest.send(floor.ground.cipherOut, to: connection.socket.stream)
        floor.ground.cipherOut.removeAll()
        connection.session.detach()
    }

    private func tryNext() {
        unwatch()
        while let address = addresses.popFirst() {
            do throws(IOError) {
                let backend = BackendSocket(try StreamSocket.connect(to: address), to: address)
                self.backend = backend
                watch = try floor.ground.poller.watch(backend.stream.rawValue, self)
                return
            } catch {
                lastError = error.description
            }
        }
        failed()
    }

    private func failed() {
        stop()
        floor.house.reports.lost(connection, detail: lastError)
        connection.session.attach(floor.ground.transport)
        let id = connection.id
        let spoken = connection.listener.configuration.databaseProtocol
        let farewell = Farewell(
            .refusal(.backendDown, spoken, request: connection.early), to: connection.socket,
            session: connection.session, leftovers: Leftovers(connection.unsent), on: floor.ground
        ) { [weak floor] in floor?.departed(id) }
        floor.settle(id, farewell)
        farewell.start(patience: connection.listener.configuration.timeouts.handshake)
    }

    private func stop() {
        deadline?.cancel()
        unwatch()
    }

    private func unwatch() {
        if let watch { floor.ground.poller.unwatch(watch) }
        watch = nil
        backend = nil
    }
}
