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
    /// Some answered, but none was accepted.
    private var wasRefused = false
    private var attempt: Deadline?
    /// nil: the addresses of a tunnel's remote end are known, or need no asking.
    private var patience: Deadline?
    private let began = ContinuousClock.now

    init(_ connection: AuthorizedConnection, _ floor: RelayFloor) {
        self.connection = connection
        self.floor = floor
        addresses = []
    }

    private var health: BackendHealth { connection.listener.backendHealth }

    func start() {
        let configuration = connection.listener.configuration
        deadline = Deadline(after: configuration.timeouts.connect, on: floor.ground.poller) { [weak self] in
            self?.ranOutOfTime()
        }
        // Whatever the reason that there is none: never in clear instead.
        if configuration.backendTLS != nil || connection.isOfTunnel, connection.backendSecurity == nil {
            lastError = "there are no TLS settings for \(connection.listener.farEnd)"
            return failed()
        }
        guard let lookup = connection.listener.lookup else { return begin() }
        // What was found before is better than nothing where no name server answers.
        patience = Deadline(after: configuration.timeouts.connect / 2, on: floor.ground.poller) { [weak self] in
            self?.lookedUp()
        }
        floor.ask(lookup, for: connection.id)
    }

    func lookedUp() {
        guard let waiting = patience else { return }
        waiting.cancel()
        patience = nil
        if let failure = connection.listener.lookup?.failure { lastError = failure }
        begin()
    }

    private func begin() {
        addresses = health.worthTrying[...]
        let findings = health.findings
        if addresses.isEmpty, !findings.isEmpty {
            downFor = findings.map(\.age).min()
            lastError = findings.map(\.text).joined(separator: "; ")
        }
        tryNext()
    }

    private func ranOutOfTime() {
        if let address { blame(address, "it did not answer in time") }
        failed()
    }

    /// Not for what may lie at the client's own address: the probes, which come from this node's, tell of the database.
    private func blame(_ address: SocketAddress, _ reason: String) {
        if !connection.listener.configuration.isTransparent { health.failed(address, reason) }
    }

    /// One that does not answer leaves time for the others.
    private func limitAttempt() {
        let share = connection.listener.configuration.timeouts.connect / (addresses.count + 1)
        attempt = Deadline(after: share, on: floor.ground.poller) { [weak self] in
            guard let self else { return }
            opening?.stop()
            if let address {
                lastError = "\(address) did not answer in time"
                blame(address, lastError)
            }
            tryNext()
        }
    }

    func abandon(_ reason: RefusalReason, detail: String?) {
        stop()
        sayGoodbye()
        if connection.isOfTunnel {
            floor.house.reports.lost(connection, .drained, detail: "on its way to the remote end")
        } else {
            floor.house.reports.closed(connection, .drained, received: 0, sent: 0)
        }
        floor.departed(connection.id)
    }

    /// Its StartupMessage is here, so a PostgreSQL client listens; it is not waited for.
    private func sayGoodbye() {
        guard connection.startup != nil, connection.unsent.isEmpty, let words = CloseReason.drained.words() else {
            return
        }
        var rest = Leftovers()
        guard let session = connection.session else {
            rest.append(words.bytes)
            _ = rest.flush(to: connection.socket.stream)
            return
        }
        session.attach(floor.ground.transport)
        if session.send(words.bytes) { session.close() }
        _ = rest.send(floor.ground.cipherOut, to: connection.socket.stream)
        floor.ground.cipherOut.removeAll()
        session.detach()
    }

    private func tryNext() {
        opening = nil
        attempt?.cancel()
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
                if !addresses.isEmpty { limitAttempt() }
                return
            } catch {
                lastError = error.description
                blame(address, lastError)
            }
        }
        failed()
    }

    private func ended(_ outcome: BackendOpening.Outcome) {
        switch outcome {
        case .failed(let reason, let isRefused):
            lastError = reason
            if isRefused { wasRefused = true }
            if isRefused, connection.isOfTunnel { connection.listener.counters.handshakesFailed.add() }
            if let address { blame(address, reason) }
            tryNext()
        case .open(let link):
            stop()
            health.connected(link.socket.address)
            if connection.isOfTunnel { connection.listener.counters.handshakesFinished.add() }
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
        let isOfTunnel = connection.isOfTunnel
        let reason: RefusalReason = isOfTunnel ? wasRefused ? .remoteRefused : .remoteDown : .backendDown
        floor.house.reports.lost(connection, reason, detail: lastError)
        connection.session?.attach(floor.ground.transport)
        let id = connection.id
        let spoken = connection.listener.configuration.databaseProtocol
        var refusal = isOfTunnel ? Refusal.remoteDown : .backendDown
        if let downFor, spoken == .postgres { refusal = .postgres(refusal.postgres.lasting(downFor)) }
        let farewell = Farewell(
            .refusal(refusal, spoken, request: connection.early), to: connection.socket,
            session: connection.session, leftovers: Leftovers(connection.unsent), on: floor.ground
        ) { [weak floor] in floor?.departed(id) }
        floor.settle(id, farewell)
        farewell.start(patience: connection.listener.configuration.timeouts.handshake)
    }

    private func stop() {
        for limit in [deadline, attempt, patience] { limit?.cancel() }
        patience = nil
        opening?.stop()
        opening = nil
    }
}
