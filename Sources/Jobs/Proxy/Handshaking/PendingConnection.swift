import IO
import OpenSSL
import Reports

/// A client that is not proven yet: its preamble, its handshake, its first message, and the verdict. Owned by the
/// floor of its handshake lane; it ends by being handed to a data lane, or as a `Farewell`.
final class PendingConnection: Watcher, Occupant {
    enum Phase {
        /// What a listed proxy says of its client.
        case proxyHeader
        /// PostgreSQL's requests before TLS.
        case preamble
        case awaitingTLS
        /// The handshake has to wait for its turn.
        case delayed
        case handshaking
        /// PostgreSQL's first message inside TLS.
        case greeting
        case over
    }

    let id: UInt64
    let socket: ClientSocket
    let listener: ListenerState
    unowned let floor: HandshakeFloor
    private let acceptedAt = ContinuousClock.now
    var phase: Phase
    var proxyHeader = ProxyHeaderStateMachine()
    var headerLimit = ProxyHeader.prefixLength
    private var preamble = PostgresPreambleStateMachine(.clear)
    private var awaited: PostgresPreambleStateMachine.Action
    private var isDirect = true
    /// It says no more than what is in the socket's buffer.
    private var hasClientEnded = false
    private var handshakeBegan = ContinuousClock.now
    private(set) var session: TravellingSession?
    private(set) var handshake = HandshakeVerdict.none
    private(set) var generation: UInt64 = 0
    private(set) var authorities: UInt64 = 0
    private(set) var backendSecurity: BackendSecurity?
    var startup: StartupMessage?
    var leftovers = Leftovers()
    var watch: WatchToken?
    var deadline: Deadline?
    var turn: Deadline?

    init(_ id: UInt64, _ socket: ClientSocket, _ listener: ListenerState, _ floor: HandshakeFloor) {
        self.id = id
        self.socket = socket
        self.listener = listener
        self.floor = floor
        phase = listener.configuration.isAnnounced(by: socket.address) ? .proxyHeader : Self.firstPhase(listener)
        if listener.configuration.tunnel != nil { preamble = PostgresPreambleStateMachine(.tunnel) }
        awaited = preamble.firstAction
    }

    static func firstPhase(_ listener: ListenerState) -> Phase {
        listener.configuration.databaseProtocol.startsWithTLS ? .awaitingTLS : .preamble
    }

    var ground: LaneGround { floor.ground }
    var isOfTunnel: Bool { listener.configuration.tunnel != nil }
    /// Of a verified peer only.
    var facts: TLSFacts? { if case .verified(let facts) = handshake { facts } else { nil } }

    /// What is left of the time that the client has from accept to the verdict.
    var patience: Duration {
        max(.zero, listener.configuration.timeouts.handshake - (ContinuousClock.now - acceptedAt))
    }

    func start() {
        if isOfTunnel, phase == .awaitingTLS { return carry(said: []) }
        guard let token = try? ground.poller.watch(socket.stream.rawValue, self) else { return leave(.noDescriptors) }
        watch = token
        deadline = Deadline(after: patience, on: ground.poller) { [weak self] in self?.ranOutOfTime() }
        advance()
    }

    private func ranOutOfTime() { leave(phase == .proxyHeader ? .noProxyHeader : .handshakeTimeout) }

    func becameReady(_ readiness: Readiness) {
        if readiness.contains(.readable) { floor.house.admission.spoke(id) }
        if !readiness.isDisjoint(with: [.hungUp, .failed]) { hasClientEnded = true }
        advance()
    }

    func abandon(_ reason: RefusalReason, detail: String?) { leave(reason, detail: detail) }

    func advance() {
        if case .failed = leftovers.flush(to: socket.stream) { return leave(.clientLeft) }
        guard leftovers.isEmpty else { return }
        switch phase {
        case .proxyHeader: hearProxyHeader()
        case .preamble, .greeting: converse(awaited)
        case .awaitingTLS: awaitTLS()
        case .handshaking: shakeHands()
        case .delayed, .over: break
        }
    }

    // MARK: PostgreSQL's preamble, in clear and inside TLS

    private func converse(_ first: PostgresPreambleStateMachine.Action) {
        var action = first
        while true {
            switch action {
            case .peek, .read, .checkSilence:
                guard let next = phase == .greeting ? hearInsideTLS() : hear(action) else {
                    awaited = action
                    return
                }
                action = next
            case .answer(let byte):
                guard say([byte]) else { return leave(.clientLeft) }
                action = preamble.answered()
            case .startTLS(let isDirect):
                self.isDirect = isDirect
                phase = .awaitingTLS
                return awaitTLS()
            case .cancel(let request): return cancel(request)
            case .admit(let message, let rest):
                startup = message
                let packet =
                    listener.configuration.namesAddress
                    ? message.packet(naming: socket.address.description) : message.packet
                return isOfTunnel ? carry(said: packet + rest) : decide(said: packet + rest)
            case .refuse(let error, let reason):
                let words: Farewell.Words =
                    session == nil ? .clear(error.bytes) : .refusal(.postgres(error), .postgres, request: [])
                return leave(reason, saying: words)
            case .close(let reason): return leave(reason)
            }
        }
    }

    /// nil: nothing to hear yet, or the connection is over.
    private func hear(_ action: PostgresPreambleStateMachine.Action) -> PostgresPreambleStateMachine.Action? {
        let buffer = ground.cipherIn
        defer { buffer.removeAll() }
        let outcome: ReadOutcome =
            if case .read(let limit) = action {
                socket.stream.read(into: buffer, limit: limit)
            } else {
                socket.stream.peek(into: buffer, limit: 1)
            }
        switch outcome {
        case .bytes:
            return switch action {
            case .peek: preamble.peeked(buffer[0])
            case .checkSilence: preamble.wasStuffed()
            default: preamble.received(buffer.bytes())
            }
        case .wouldBlock: return action == .checkSilence ? preamble.wasSilent() : nil
        case .ended, .failed: return preamble.ended()
        }
    }

    private func hearInsideTLS() -> PostgresPreambleStateMachine.Action? {
        guard let session else { return nil }
        while true {
            let (outcome, bytes) = session.receive(limit: ground.pieceLimit)
            guard sendCipher() else {
                ground.cipherIn.removeAll()
                return preamble.ended()
            }
            if !bytes.isEmpty { return preamble.received(bytes) }
            switch outcome {
            case .bytes, .wantsInput, .wantsOutput: break
            case .ended, .failed:
                // What follows the end of TLS must never reach the lane's next client.
                ground.cipherIn.removeAll()
                return preamble.ended()
            }
            switch socket.stream.read(into: ground.cipherIn) {
            case .bytes: continue
            case .wouldBlock: return nil
            case .ended, .failed: return preamble.ended()
            }
        }
    }

    private func say(_ bytes: [UInt8]) -> Bool {
        guard phase == .greeting else {
            leftovers.append(bytes)
            if case .failed = leftovers.flush(to: socket.stream) { return false }
            return true
        }
        return session?.send(bytes) == true && sendCipher()
    }

    // MARK: TLS

    /// Until the first record of TLS is there as a whole: who sends it byte by byte costs a socket, and neither a place
    /// in the queue of handshakes nor memory.
    private func awaitTLS() {
        let buffer = ground.cipherIn
        let outcome = socket.stream.peek(into: buffer, limit: FirstRecord.longest)
        let record = FirstRecord(buffer)
        buffer.removeAll()
        switch outcome {
        case .bytes: break
        case .wouldBlock: return
        case .ended where listener.configuration.databaseProtocol.startsWithTLS: return leave(.probe)
        case .ended, .failed: return leave(.clientLeft)
        }
        switch record {
        case .whole: break
        case .partial:
            if hasClientEnded { leave(.clientLeft) }
            return
        case .clear: return leave(.plaintext)
        }
        switch floor.house.admission.handshakeRequested(id) {
        case .begin: beginHandshake()
        case .wait(let delay):
            phase = .delayed
            turn = Deadline(after: delay, on: ground.poller) { [weak self] in self?.beginHandshake() }
        case .refuse(let excess): leave(excess.reason, detail: excess.description)
        }
    }

    private func beginHandshake() {
        guard let (contexts, standing) = listener.admission, let server = contexts.server else {
            return leave(.noCertificateYet)
        }
        // At once: each handshake that waited for the token would hold up those behind it.
        guard server.isKeyAvailable else { return leave(.keyUnavailable) }
        phase = .handshaking
        (generation, authorities) = (standing.generation, standing.authorities)
        backendSecurity = contexts.backend
        handshakeBegan = .now
        let session = TravellingSession(
            server, explainsRefusal: listener.configuration.explainsCertificateRefusals, mark: standing.mark)
        session.attach(ground.transport)
        self.session = session
        shakeHands()
    }

    private func shakeHands() {
        guard let session else { return }
        while true {
            switch socket.stream.read(into: ground.cipherIn) {
            case .bytes: break
            case .wouldBlock: return
            case .ended, .failed: return handshakeFailed(TLSFailure(.truncated, "the client left"))
            }
            let outcome = session.handshake()
            // Whatever the outcome: an alert tells the client why.
            guard sendCipher() else { return handshakeFailed(TLSFailure(.truncated, "the client left")) }
            switch outcome {
            case .wantsInput, .wantsOutput: if !leftovers.isEmpty { return }
            case .finished: return handshakeFinished(session)
            case .finishedUnverified(let failure):
                handshake = .refused(failure)
                listener.counters.handshakesFailed.add()
                return greet()
            case .failed(let failure): return handshakeFailed(failure)
            }
        }
    }

    func sendCipher() -> Bool {
        if case .failed = leftovers.send(ground.cipherOut, to: socket.stream) {
            ground.cipherOut.removeAll()
            return false
        }
        return true
    }

    private func handshakeFailed(_ failure: TLSFailure) {
        ground.cipherIn.removeAll()
        listener.counters.failed(failure, from: socket.address)
        leave(RefusalReason(failure), detail: failure.detail)
    }

    private func handshakeFinished(_ session: TravellingSession) {
        listener.counters.handshakeSeconds.observe((ContinuousClock.now - handshakeBegan).seconds)
        if let facts = session.facts {
            handshake = .verified(facts)
            listener.counters.issuers.verified(facts.chain)
        }
        listener.counters.finished(facts?.ticket ?? .none)
        if isDirect, listener.configuration.databaseProtocol == .postgres,
            facts?.applicationProtocol != "postgresql"
        {
            ground.cipherIn.removeAll()
            return leave(.noApplicationProtocol)
        }
        greet()
    }

    private func greet() {
        guard listener.configuration.databaseProtocol == .postgres else { return decide(said: []) }
        phase = .greeting
        preamble = PostgresPreambleStateMachine(.insideTLS(isDirect: isDirect))
        converse(preamble.firstAction)
    }
}
