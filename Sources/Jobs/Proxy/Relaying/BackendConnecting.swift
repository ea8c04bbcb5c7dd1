import IO
import Reports

/// Connects the database for one authorized client, trying its addresses in order; ends as a `RelayedConnection`, or
/// as a `Farewell` that tells the client in its own protocol that the database is down.
final class BackendConnecting: Occupant {
    private let connection: AuthorizedConnection
    private unowned let floor: RelayFloor
    private var addresses: ArraySlice<SocketAddress>
    /// The one that is being tried.
    private var address: SocketAddress?
    private var opening: BackendOpening?
    private var deadline: Deadline?
    private var lastError = "no address answered in time"
    /// Every address has been found down before, the last of them so long ago.
    private var downFor: Duration?
    private let began = ContinuousClock.now

    init(_ connection: AuthorizedConnection, _ floor: RelayFloor) {
        self.connection = connection
        self.floor = floor
        addresses = connection.listener.backendHealth.worthTrying[...]
    }

    private var health: BackendHealth { connection.listener.backendHealth }

    func start() {
        let configuration = connection.listener.configuration
        deadline = Deadline(after: configuration.timeouts.connect, on: floor.ground.poller) { [weak self] in
            self?.ranOutOfTime()
        }
        // Whatever the reason that there is none: never in clear instead.
        if configuration.backendTLS != nil, connection.backendSecurity == nil {
            lastError = "there are no TLS settings for the database"
            return failed()
        }
        if addresses.isEmpty {
            let findings = health.findings
            downFor = findings.map(\.age).min()
            lastError = findings.map(\.text).joined(separator: "; ")
        }
        tryNext()
    }

    private func ranOutOfTime() {
        if let address { health.failed(address, "it did not answer in time") }
        failed()
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
        opening = nil
        let configuration = connection.listener.configuration
        let introduction = BackendIntroduction(
            of: connection.socket, connection.facts, connection: connection.id, at: configuration)
        while let address = addresses.popFirst() {
            self.address = address
            do throws(IOError) {
                let opening = try BackendOpening(
                    to: address, connection.backendSecurity, of: configuration, introducing: introduction,
                    on: floor.ground)
                try opening.start { [weak self] in self?.ended($0) }
                self.opening = opening
                return
            } catch {
                lastError = error.description
                health.failed(address, lastError)
            }
        }
        failed()
    }

    private func ended(_ outcome: BackendOpening.Outcome) {
        switch outcome {
        case .failed(let reason):
            lastError = reason
            if let address { health.failed(address, reason) }
            tryNext()
        case .open(let link):
            stop()
            health.connected(link.socket.address)
            connection.listener.counters.connectSeconds.observe((ContinuousClock.now - began).seconds)
            guard let relayed = RelayedConnection(connection, link, floor) else {
                return floor.departed(connection.id)
            }
            floor.settle(connection.id, relayed)
            relayed.start()
        }
    }

    private func failed() {
        stop()
        floor.house.reports.lost(connection, detail: lastError)
        connection.session.attach(floor.ground.transport)
        let id = connection.id
        let spoken = connection.listener.configuration.databaseProtocol
        var refusal = Refusal.backendDown
        if let downFor, spoken == .postgres { refusal = .postgres(.databaseDown(for: downFor)) }
        let farewell = Farewell(
            .refusal(refusal, spoken, request: connection.early), to: connection.socket,
            session: connection.session, leftovers: Leftovers(connection.unsent), on: floor.ground
        ) { [weak floor] in floor?.departed(id) }
        floor.settle(id, farewell)
        farewell.start(patience: connection.listener.configuration.timeouts.handshake)
    }

    private func stop() {
        deadline?.cancel()
        opening?.stop()
        opening = nil
    }
}
