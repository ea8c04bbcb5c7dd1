import IO
import OpenSSL
import Reports

/// One live connection between a client and its database: performs what `RelayStateMachine` decides. Owned by its
/// lane's floor.
final class RelayedConnection: Watcher, Occupant {
    let origin: AuthorizedConnection
    /// nil: the client speaks in clear, as a tunnel's does.
    let session: TLSSession?
    /// Of the peer that was verified: the client, or a tunnel's remote end.
    let facts: TLSFacts
    let attributes: PeerAttributes
    let backend: BackendSocket
    /// nil: the database is reached in clear.
    let backendSession: TLSSession?
    unowned let floor: RelayFloor
    var machine: RelayStateMachine
    /// What the backend did not take: plain bytes, or TLS records.
    var leftoversUp: Leftovers
    /// What the client did not take: TLS records, or plain bytes.
    var leftoversDown: Leftovers
    var pieceUp = RelayedConnection.smallPiece
    var pieceDown = RelayedConnection.smallPiece
    var clientHungUp = false
    var backendHungUp = false
    /// Nothing more is said to the client: its last words, and the end of TLS where it has it, are on their way.
    var hasClosedClient = false
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
    /// When the first certificate of the peer's chain ends, in seconds since 1970.
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

    /// nil if nobody has been verified, or if the session has been taken by another, which nobody does.
    init?(_ origin: AuthorizedConnection, _ link: BackendLink, _ floor: RelayFloor) {
        switch origin.admitted {
        case .peer(let peer, let facts):
            guard let session = origin.session?.take() else { return nil }
            (self.session, self.facts, attributes) = (session, facts, peer.attributes)
        case .local:
            guard let facts = link.session.flatMap({ TLSFacts($0) }), let remote = facts.peer else { return nil }
            (session, self.facts, attributes) = (nil, facts, remote)
        }
        self.origin = origin
        backend = link.socket
        backendSession = link.session
        self.floor = floor
        machine = RelayStateMachine(upHasLeftovers: !origin.early.isEmpty || !link.unsent.isEmpty)
        leftoversUp = link.unsent
        earlyDown = link.early
        leftoversDown = Leftovers(origin.unsent)
        received = UInt64(origin.early.count)
        expiry = Standing.expiry(of: facts.chain)
        verifiedUnder = origin.authorities
        if origin.startup != nil {
            keyWatch = BackendKeyStateMachine()
            boundary = MessageBoundaryStateMachine()
        }
    }

    func start() {
        session?.attach(floor.ground.transport)
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
        if let remote { floor.house.reports.reached(origin, remote) }
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
            to: attributes, facts.chain, verifiedUnder: verifiedUnder, at: now)
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
        // Each edge says that there is room, which only somebody who waits for room cares about.
        let isAwaited = side == .client ? !leftoversDown.isEmpty : !leftoversUp.isEmpty
        if isAwaited, readiness.contains(.writable) { perform(machine.becameWritable(side)) }
        if !readiness.isDisjoint(with: [.readable, .hungUp, .failed]) { perform(machine.becameReadable(side)) }
    }

    func resume() {
        if hasEnded { return }
        isWaiting = false
        budget = RelayFloor.turn
        perform(machine.resumed())
    }

    func abandon(_ reason: RefusalReason, detail: String?) { end(.drained) }

    /// Nothing that was sent would be cut by its end.
    var isAtRest: Bool {
        leftoversUp.isEmpty && leftoversDown.isEmpty && boundary?.isBetweenMessages != false
    }

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
                if side == .client { backend.stream.reset() } else { cutClear() }
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
        guard leftoversDown.isEmpty, !hasClosedClient else { return cutClear() }
        if let words = reason.words(of: certificate), boundary?.isBetweenMessages == true {
            sayLast(words)
        } else if reason == .idle || reason == .drained {
            sayLast(nil)
        } else {
            cutClear()
        }
    }

    private var certificate: String { origin.isOfTunnel ? "remote certificate" : "client certificate" }

    /// In clear nothing but a reset says that there should have been more; over a unix socket nothing does.
    private func cutClear() { if session == nil, !hasClosedClient { origin.socket.stream.reset() } }

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
            origin, reason, detail: reason == ending ? endingDetail : nil, received: received, sent: sent,
            remote: remote)
        floor.departed(origin.id)
    }

    /// The far end of a tunnel.
    private var remote: RemoteEnd? { origin.isOfTunnel ? RemoteEnd(address: backend.address, facts: facts) : nil }

    var summary: ConnectionSummary {
        ConnectionSummary(
            id: origin.id, listener: origin.listener.name, peerAddress: origin.socket.address.description,
            carrierAddress: origin.socket.carrier?.description, peerSubject: attributes.subject,
            peerSerial: attributes.serial,
            user: origin.startup?.user.map { ProxyReports.short($0) },
            database: origin.startup?.database.map { ProxyReports.short($0) }, since: origin.since,
            bytesReceived: received, bytesSent: sent,
            remoteAddress: origin.isOfTunnel ? backend.address.description : nil)
    }
}

/// The backend's side of a connection, as the poller sees it.
private final class BackendEnd: Watcher {
    private unowned let connection: RelayedConnection

    init(_ connection: RelayedConnection) { self.connection = connection }

    func becameReady(_ readiness: Readiness) { connection.backendBecameReady(readiness) }
}
