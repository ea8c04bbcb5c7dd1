import IO
import OpenSSL
import Reports

/// One live connection between a client and its database: performs what `RelayStateMachine` decides. Owned by its
/// lane's floor.
final class RelayedConnection: Watcher, Occupant {
    let origin: AuthorizedConnection
    let session: TLSSession
    let backend: BackendSocket
    /// nil: the database is reached in clear.
    let backendSession: TLSSession?
    unowned let floor: RelayFloor
    var machine: RelayStateMachine
    /// What the backend did not take: plain bytes, or TLS records.
    var leftoversUp: Leftovers
    /// TLS records that the client did not take.
    var leftoversDown: Leftovers
    var pieceUp = RelayedConnection.smallPiece
    var pieceDown = RelayedConnection.smallPiece
    var clientHungUp = false
    var backendHungUp = false
    var hasClosedTLS = false
    var hasClosedBackendTLS = false
    var received: UInt64 = 0
    var sent: UInt64 = 0
    var budget = 0
    /// Until the session's cancel key is known.
    var keyWatch: BackendKeyStateMachine?
    var cancelKey: CancelKey?
    /// Where the proxy may put in a word of its own; PostgreSQL only.
    var boundary: MessageBoundaryStateMachine?
    /// The authorities that have verified its chain.
    var verifiedUnder: UInt64
    /// When the first certificate of the client's chain ends, in seconds since 1970.
    let expiry: Int64
    /// Why it will have ended, if not by both sides' endings.
    var ending: CloseReason?
    var endingDetail: String?
    var lastProgress = ContinuousClock.now
    private var pinned = 0
    private var isWaiting = false
    private var hasEnded = false
    private var watches: [WatchToken] = []
    private var quiet: Deadline?
    private var earlyDown: [UInt8]
    private lazy var backendEnd = BackendEnd(self)

    static let smallPiece = 16 << 10
    /// What may be read at a time while slow readers pin too much memory.
    static let tinyPiece = 4 << 10

    /// nil if the session has been taken by another, which nobody does.
    init?(_ origin: AuthorizedConnection, _ link: BackendLink, _ floor: RelayFloor) {
        guard let session = origin.session.take() else { return nil }
        self.origin = origin
        self.session = session
        backend = link.socket
        backendSession = link.session
        self.floor = floor
        machine = RelayStateMachine(upHasLeftovers: !origin.early.isEmpty || !link.unsent.isEmpty)
        leftoversUp = link.unsent
        earlyDown = link.early
        leftoversDown = Leftovers(origin.unsent)
        received = UInt64(origin.early.count)
        expiry = Standing.expiry(of: origin.facts.chain)
        verifiedUnder = origin.authorities
        if origin.startup != nil {
            keyWatch = BackendKeyStateMachine()
            boundary = MessageBoundaryStateMachine()
        }
    }

    func start() {
        session.attach(floor.ground.transport)
        let takesEarly = takeEarly()
        account()
        guard takesEarly else {
            clearBuffers()
            return end(.backendTLSFailed)
        }
        do throws(IOError) {
            watches.append(try floor.ground.poller.watch(origin.socket.stream.rawValue, self))
            watches.append(try floor.ground.poller.watch(backend.stream.rawValue, backendEnd))
        } catch {
            return end(.clientFailed)
        }
        floor.began(self)
        if let reason = objection { return end(reason) }
        watchIdle()
        budget = RelayFloor.turn
        if !leftoversDown.isEmpty { machine.controlBytesWait() }
        guard deliverEarly(earlyDown) else { return end(.clientFailed) }
        earlyDown = []
        perform(origin.clientHasEnded ? machine.sourceEnded(.up) : machine.began())
    }

    /// Trust or rules have changed while it was on its way here.
    private var objection: CloseReason? {
        guard let standing = origin.listener.standing, standing.generation != origin.generation else { return nil }
        let now = Timestamp.now.seconds
        let objection = standing.objection(
            to: origin.peer, origin.facts.chain, verifiedUnder: verifiedUnder, at: now)
        if objection == nil { verifiedUnder = standing.authorities }
        return objection
    }

    /// The client's side.
    func becameReady(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.hungUp, .failed]) { clientHungUp = true }
        ready(readiness, .client)
    }

    fileprivate func backendBecameReady(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.hungUp, .failed]) { backendHungUp = true }
        ready(readiness, .backend)
    }

    private func ready(_ readiness: Readiness, _ side: RelayStateMachine.Side) {
        budget = RelayFloor.turn
        if readiness.contains(.writable) { perform(machine.becameWritable(side)) }
        if !readiness.isDisjoint(with: [.readable, .hungUp, .failed]) { perform(machine.becameReadable(side)) }
    }

    func resume() {
        if hasEnded { return }
        isWaiting = false
        budget = RelayFloor.turn
        perform(machine.resumed())
    }

    func abandon(_ reason: RefusalReason, detail: String?) { end(.drained) }

    private func perform(_ first: RelayStateMachine.Action) {
        var action = first
        while !hasEnded {
            switch action {
            case .transfer(let direction):
                if budget <= 0 { return waitForTurn() }
                action = direction == .up ? transferUp() : transferDown()
            case .flush(let direction): action = flush(direction)
            case .sendEnding(let direction): action = sendEnding(direction)
            case .watchLinger:
                watch(for: origin.listener.configuration.timeouts.linger, .stalled)
                action = machine.resumed()
            case .close: return finish(ending ?? .finished)
            case .abort(let side):
                if side == .client { backend.stream.reset() }
                return finish(ending ?? (side == .client ? .clientFailed : .backendFailed))
            case .wait: return account()
            }
        }
    }

    private func waitForTurn() {
        account()
        if isWaiting { return }
        isWaiting = true
        floor.wait(self)
    }

    /// Tells the lane how much memory waits here for slow readers.
    private func account() {
        let now = leftoversUp.size + leftoversDown.size
        floor.figures.pin(now - pinned)
        pinned = now
    }

    // MARK: time

    private func watchIdle() {
        if let limit = origin.listener.configuration.timeouts.idle { watch(for: limit, .idle) }
    }

    /// Ends the connection when nothing has moved for so long. One timer a connection, never touched by moving bytes.
    private func watch(for limit: Duration, _ reason: CloseReason) {
        quiet?.cancel()
        let left = limit - (ContinuousClock.now - lastProgress)
        let wait = reason == .stalled && left <= .zero ? limit : max(.milliseconds(1), left)
        quiet = Deadline(after: wait, on: floor.ground.poller) { [weak self] in
            guard let self else { return }
            if floor.ground.poller.now - lastProgress >= limit { end(reason) } else { watch(for: limit, reason) }
        }
    }

    // MARK: the end

    /// From outside: the peers learn by the missing end of TLS that it is not theirs.
    func end(_ reason: CloseReason) {
        if hasEnded { return }
        sayGoodbye(reason)
        finish(reason)
    }

    /// A client that can be told hears why, and the end of TLS; to one that cannot, the missing end says that what it
    /// has may be cut, unless its time was just over.
    private func sayGoodbye(_ reason: CloseReason) {
        guard leftoversDown.isEmpty, !hasClosedTLS else { return }
        if let words = reason.words, boundary?.isBetweenMessages == true {
            floor.ground.plain.append(words.bytes)
            _ = session.write(from: floor.ground.plain)
            floor.ground.plain.removeAll()
        } else if reason != .idle, reason != .drained {
            return
        }
        session.close()
        _ = leftoversDown.send(floor.ground.cipherOut, to: origin.socket.stream)
        floor.ground.cipherOut.removeAll()
    }

    private func finish(_ reason: CloseReason) {
        if hasEnded { return }
        hasEnded = true
        quiet?.cancel()
        quiet = nil
        for watch in watches { floor.ground.poller.unwatch(watch) }
        watches = []
        leftoversUp = Leftovers()
        leftoversDown = Leftovers()
        account()
        if let cancelKey { floor.house.cancels.forget(cancelKey, of: origin) }
        floor.house.reports.closed(
            origin, reason, detail: reason == ending ? endingDetail : nil, received: received, sent: sent)
        floor.departed(origin.id)
    }

    var summary: ConnectionSummary {
        ConnectionSummary(
            id: origin.id, listener: origin.listener.name, peerAddress: origin.socket.address.description,
            peerSubject: origin.peer.attributes.subject, peerSerial: origin.peer.attributes.serial,
            user: origin.startup?.user.map { ProxyReports.short($0) },
            database: origin.startup?.database.map { ProxyReports.short($0) }, since: origin.since,
            bytesReceived: received, bytesSent: sent)
    }
}

/// The backend's side of a connection, as the poller sees it.
private final class BackendEnd: Watcher {
    private unowned let connection: RelayedConnection

    init(_ connection: RelayedConnection) { self.connection = connection }

    func becameReady(_ readiness: Readiness) { connection.backendBecameReady(readiness) }
}
