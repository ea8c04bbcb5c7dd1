import IO
import OpenSSL

/// The end of a connection that is not to be relayed: says the last words, in the client's own protocol where it has
/// one, and closes so that the client can read them.
///
/// A socket that is closed while bytes of the client are unread sends RST, which may destroy the words on their way;
/// so they are read and dropped until the client closes, for a short time.
final class Farewell: Watcher, Occupant {
    enum Words {
        case none
        case clear([UInt8])
        /// Inside TLS, where the client has it; some protocols have to hear the client's request first.
        case refusal(Refusal, DatabaseProtocol, request: [UInt8])
    }

    private static let lingerLimit = Duration.seconds(2)
    private static let dropLimit = 256 << 10
    /// Enough for any protocol's header.
    private static let requestLimit = 16

    private let ground: LaneGround
    private let socket: ClientSocket
    private let session: TravellingSession?
    private var words: Words
    private var leftovers: Leftovers
    private var hasSpoken = false
    private var hasShutDown = false
    private var dropped = 0
    private var watch: WatchToken?
    private var deadline: Deadline?
    private var done: (() -> Void)?

    /// `session` must be attached to the ground's transport.
    init(
        _ words: Words, to socket: ClientSocket, session: TravellingSession?, leftovers: Leftovers,
        on ground: LaneGround, done: @escaping () -> Void
    ) {
        self.words = words
        self.socket = socket
        self.session = session
        self.leftovers = leftovers
        self.ground = ground
        self.done = done
    }

    /// `patience`: how long the client may take to ask.
    func start(patience: Duration) {
        guard let token = try? ground.poller.watch(socket.stream.rawValue, self) else { return finish() }
        watch = token
        deadline = Deadline(after: patience, on: ground.poller) { [weak self] in self?.finish() }
        if !needsRequest { speak() }
    }

    func becameReady(_ readiness: Readiness) {
        if needsRequest, !listen() { return }
        if !hasSpoken { speak() }
        if done != nil { proceed() }
    }

    func abandon(_ reason: RefusalReason, detail: String?) { finish() }

    private var needsRequest: Bool {
        guard case .refusal(let refusal, let spoken, let request) = words, !hasSpoken else { return false }
        return spoken.refusal(refusal, to: request) == .needsMore
    }

    /// False when there is still too little, or nobody to speak to.
    private func listen() -> Bool {
        while needsRequest {
            switch socket.stream.read(into: ground.cipherIn) {
            case .bytes: break
            case .wouldBlock: return false
            case .ended, .failed:
                finish()
                return false
            }
            guard case .refusal(let refusal, let spoken, let request) = words else { return false }
            let (outcome, bytes) = session?.receive(limit: ground.pieceLimit) ?? (.wantsInput, takeClear())
            words = .refusal(refusal, spoken, request: Array((request + bytes).prefix(Self.requestLimit)))
            if bytes.isEmpty, outcome != .wantsInput {
                ground.cipherIn.removeAll()
                finish()
                return false
            }
        }
        return true
    }

    private func takeClear() -> [UInt8] {
        defer { ground.cipherIn.removeAll() }
        return ground.cipherIn.bytes()
    }

    private func speak() {
        hasSpoken = true
        // The answer has been fixed: from now on the client's silence counts.
        deadline?.cancel()
        deadline = Deadline(after: Self.lingerLimit, on: ground.poller) { [weak self] in self?.finish() }
        switch words {
        case .none: break
        case .clear(let bytes): leftovers.append(bytes)
        case .refusal(let refusal, let spoken, let request):
            guard case .say(let bytes) = spoken.refusal(refusal, to: request) else { break }
            if let session { _ = session.send(bytes) } else { leftovers.append(bytes) }
        }
        session?.close()
        if case .failed = leftovers.send(ground.cipherOut, to: socket.stream) { return finish() }
        proceed()
    }

    private func proceed() {
        switch leftovers.flush(to: socket.stream) {
        case .blocked: return
        case .failed: return finish()
        case .complete: break
        }
        if !hasShutDown { socket.stream.shutdownWriting() }
        hasShutDown = true
        while true {
            let outcome = socket.stream.read(into: ground.cipherIn)
            ground.cipherIn.removeAll()
            guard case .bytes(let count) = outcome else {
                return outcome == .wouldBlock ? () : finish()
            }
            dropped += count
            if dropped > Self.dropLimit { return finish() }
        }
    }

    private func finish() {
        ground.cipherIn.removeAll()
        ground.cipherOut.removeAll()
        deadline?.cancel()
        deadline = nil
        if let watch { ground.poller.unwatch(watch) }
        watch = nil
        let done = self.done
        self.done = nil
        done?()
    }
}
