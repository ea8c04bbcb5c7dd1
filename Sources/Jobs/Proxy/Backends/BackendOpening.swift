import IO
import OpenSSL

/// Opens one connection to a database: TCP or unix, then the header that says who the client is and TLS, where the
/// listener wants them. Not a byte of a client is sent before the link is open; the owner limits its time.
final class BackendOpening: Watcher {
    enum Outcome {
        case open(BackendLink)
        /// `isRefused`: it answered, but it is not who it should be.
        case failed(String, isRefused: Bool)
    }

    private let ground: LaneGround
    private let backend: BackendSocket
    private let security: BackendSecurity?
    /// What a server of several protocols must have agreed to, so that it does not take this for another (ALPACA).
    private let neededProtocol: String?
    private var preamble: BackendPreambleStateMachine
    private var isConnected = false
    /// What a PostgreSQL server answered to SSLRequest.
    private(set) var answer: UInt8?
    private var session: TLSSession?
    private var leftovers = Leftovers()
    private var watch: WatchToken?
    private var done: ((Outcome) -> Void)?

    init(
        to address: SocketAddress, _ security: BackendSecurity?, of listener: ListenerConfiguration,
        introducing introduction: BackendIntroduction, on ground: LaneGround
    ) throws(IOError) {
        backend = BackendSocket(try StreamSocket.connect(to: address, from: introduction.source), to: address)
        self.security = security
        self.ground = ground
        let isPostgres = listener.databaseProtocol == .postgres
        let asks = isPostgres && security?.isDirect != true
        preamble = BackendPreambleStateMachine(
            security == nil ? .clear : asks ? .askingForTLS : .directTLS, header: introduction.header)
        neededProtocol = isPostgres && !asks ? "postgresql" : nil
    }

    /// `done` comes once, later, unless it is stopped before.
    func start(_ done: @escaping (Outcome) -> Void) throws(IOError) {
        watch = try ground.poller.watch(backend.stream.rawValue, self)
        self.done = done
    }

    func stop() {
        if let watch { ground.poller.unwatch(watch) }
        watch = nil
        done = nil
    }

    func becameReady(_ readiness: Readiness) {
        if done == nil { return }
        guard isConnected else { return checkConnection(readiness) }
        if case .failed(let error) = leftovers.flush(to: backend.stream) { return failed(error.description) }
        guard leftovers.isEmpty else { return }
        if session == nil { perform(.readOne) } else { shakeHands() }
    }

    private func checkConnection(_ readiness: Readiness) {
        if let error = backend.stream.connectError() { return failed(error.description) }
        guard readiness.contains(.writable) else { return }
        isConnected = true
        perform(preamble.connected())
    }

    private func perform(_ first: BackendPreambleStateMachine.Action) {
        var action = first
        while true {
            switch action {
            case .send(let bytes):
                leftovers.append(bytes)
                if case .failed(let error) = leftovers.flush(to: backend.stream) { return failed(error.description) }
                action = preamble.sent()
            case .readOne:
                let outcome = backend.stream.read(into: ground.cipherIn, limit: 1)
                let byte = ground.cipherIn.bytes().first
                ground.cipherIn.removeAll()
                answer = byte
                switch outcome {
                case .bytes: action = byte.map { preamble.received($0) } ?? preamble.ended()
                case .wouldBlock: return
                case .ended: action = preamble.ended()
                case .failed(let error): return failed(error.description)
                }
            case .startTLS: return beginTLS()
            case .open: return finish(.open(BackendLink(backend, unsent: leftovers)))
            case .fail(let reason): return failed(reason)
            }
        }
    }

    // MARK: TLS

    private func beginTLS() {
        guard let security else { return failed("there are no TLS settings for the database") }
        session = TLSSession(security.context, ground.transport)
        shakeHands()
    }

    private var farEnd: String { security?.farEnd ?? "the database" }

    private func shakeHands() {
        guard let session else { return }
        while true {
            let outcome = session.handshake()
            guard sendCipher() else { return failed("\(farEnd) left during the TLS handshake") }
            switch outcome {
            case .finished: return handshakeFinished(session)
            case .failed(let failure), .finishedUnverified(let failure):
                return failed("no TLS with \(farEnd): \(failure.detail)", isRefused: failure.isOfCertificate)
            case .wantsInput, .wantsOutput: break
            }
            switch backend.stream.read(into: ground.cipherIn) {
            case .bytes: continue
            case .wouldBlock: return
            case .ended: return failed("\(farEnd) closed the connection during the TLS handshake")
            case .failed(let error): return failed("no TLS with \(farEnd): \(error)")
            }
        }
    }

    private func handshakeFinished(_ session: TLSSession) {
        if let objection = security?.objection(to: session) { return failed(objection, isRefused: true) }
        // As libpq has it: without ALPN it may be any server that has such a certificate (fe-secure-openssl.c).
        if let neededProtocol, session.applicationProtocol != neededProtocol {
            return failed(
                "\(farEnd) did not agree on the application protocol \(neededProtocol), as direct TLS needs",
                isRefused: true)
        }
        // Session tickets, and perhaps a first word, came along; what ended is remembered by the session.
        let outcome = session.read(into: ground.plain)
        let early = ground.plain.bytes()
        ground.plain.removeAll()
        if case .failed(let failure) = outcome { return failed("no TLS with \(farEnd): \(failure.detail)") }
        ground.cipherIn.removeAll()
        guard sendCipher() else { return failed("\(farEnd) left after the TLS handshake") }
        finish(.open(BackendLink(backend, session, unsent: leftovers, early: early)))
    }

    private func sendCipher() -> Bool {
        if case .failed = leftovers.send(ground.cipherOut, to: backend.stream) {
            ground.cipherOut.removeAll()
            return false
        }
        return true
    }

    private func failed(_ reason: String, isRefused: Bool = false) {
        // The lane's buffers belong to the next connection.
        ground.cipherIn.removeAll()
        ground.cipherOut.removeAll()
        finish(.failed(reason, isRefused: isRefused))
    }

    private func finish(_ outcome: Outcome) {
        let done = self.done
        stop()
        done?(outcome)
    }
}

extension TLSFailure {
    /// Its certificate was looked at, and is not accepted.
    fileprivate var isOfCertificate: Bool {
        switch kind {
        case .noCertificate, .unknownIssuer, .expired, .notYetValid, .revoked, .revocationUnknown, .wrongPurpose,
            .authorityAsLeaf, .chainTooLong, .weakCertificate, .wrongName, .invalidCertificate:
            true
        case .protocolMismatch, .applicationProtocol, .plaintextHTTP, .garbage, .peerAlert, .truncated,
            .unknownServerName, .keyUpdateFlood, .keyUnavailable, .other:
            false
        }
    }
}
