import IO
import OpenSSL

/// Asks one database once whether it is there, as its protocol asks; owned by the floor of a handshake lane.
final class BackendProbe: Watcher {
    private static let answerLimit = 256

    private let listener: ListenerState
    private let address: SocketAddress
    private let ground: LaneGround
    private var opening: BackendOpening?
    private var link: BackendLink?
    private var answer: [UInt8] = []
    private var leftovers = Leftovers()
    /// The verdict stands, and the database is told the end of TLS: a connection that is torn would be a complaint in
    /// its log.
    private var isLeaving = false
    private var failure: String?
    private var watch: WatchToken?
    private var deadline: Deadline?
    private var done: ((_ failure: String?) -> Void)?

    init(_ address: SocketAddress, of listener: ListenerState, on ground: LaneGround) {
        self.address = address
        self.listener = listener
        self.ground = ground
    }

    private var spoken: DatabaseProtocol { listener.configuration.databaseProtocol }
    private var isSecured: Bool { listener.configuration.backendTLS != nil }

    /// `done` comes once, perhaps before this returns, unless it is stopped before; nil: the database is alive.
    func start(within limit: Duration, _ done: @escaping (_ failure: String?) -> Void) {
        self.done = done
        deadline = Deadline(after: limit, on: ground.poller) { [weak self] in
            self?.ranOutOfTime()
        }
        var security = listener.admission?.contexts.backend
        if isSecured, security == nil { return finish("there are no TLS settings for \(listener.farEnd) yet") }
        do {
            // In clear PostgreSQL is asked too; the handshake that it offers is ended, or it would log a complaint.
            if !isSecured, spoken == .postgres { security = try BackendSecurity.unverified() }
            let opening = try BackendOpening(
                to: address, security, of: listener.configuration,
                introducing: BackendIntroduction(ofNobodyAt: listener.configuration), on: ground)
            self.opening = opening
            try opening.start { [weak self] in self?.opened($0) }
        } catch {
            finish("\(error)")
        }
    }

    func stop() {
        done = nil
        conclude()
    }

    private func ranOutOfTime() {
        if !isLeaving { failure = "it did not answer in time" }
        conclude()
    }

    func becameReady(_ readiness: Readiness) {
        guard let link, done != nil else { return }
        if case .failed(let error) = leftovers.flush(to: link.socket.stream) { return finish(error.description) }
        while done != nil {
            let outcome = link.socket.stream.read(into: ground.cipherIn)
            if isLeaving { hearAfterwards(link) } else { hear(link) }
            switch outcome {
            case .bytes: continue
            case .wouldBlock: return
            case .ended: return finish("it closed the connection instead of answering")
            case .failed(let error): return finish(error.description)
            }
        }
    }

    private func opened(_ outcome: BackendOpening.Outcome) {
        switch outcome {
        case .failed(let reason, _):
            let hasAnswered = opening?.answer == UInt8(ascii: "S") || opening?.answer == UInt8(ascii: "N")
            finish(!isSecured && hasAnswered ? nil : reason)
        case .open(let link): ask(link)
        }
    }

    private func ask(_ link: BackendLink) {
        self.link = link
        leftovers = link.unsent
        answer = link.early
        let request = spoken.probeRequest
        if request.isEmpty { return finish(nil) }
        guard let session = link.session else {
            leftovers.append(request)
            return listen(link)
        }
        ground.plain.append(request)
        _ = session.write(from: ground.plain)
        ground.plain.removeAll()
        leftovers.append(ground.cipherOut.bytes())
        ground.cipherOut.removeAll()
        listen(link)
    }

    private func listen(_ link: BackendLink) {
        guard let token = try? ground.poller.watch(link.socket.stream.rawValue, self) else {
            return finish("its socket cannot be watched")
        }
        watch = token
    }

    /// With TLS 1.3 our own certificate is refused after the handshake is over for us (RFC 8446 §4.4.2.4).
    private func hearAfterwards(_ link: BackendLink) {
        if let session = link.session, case .failed(let refusal) = session.read(into: ground.plain),
            refusal.kind == .peerAlert
        {
            failure = "no TLS with \(listener.farEnd): \(refusal.detail)"
        }
        ground.plain.removeAll()
        ground.cipherIn.removeAll()
        ground.cipherOut.removeAll()
    }

    /// Takes over what lies in `cipherIn`.
    private func hear(_ link: BackendLink) {
        if let session = link.session {
            _ = session.read(into: ground.plain)
            answer += ground.plain.bytes()
        } else {
            answer += ground.cipherIn.bytes()
        }
        ground.plain.removeAll()
        ground.cipherIn.removeAll()
        ground.cipherOut.removeAll()
        switch spoken.verdict(onProbe: answer) {
        case .alive: finish(nil)
        case .wrong(let reason): finish(reason)
        case .needsMore: if answer.count > Self.answerLimit { finish("its answer does not end") }
        }
    }

    private func finish(_ failure: String?) {
        if isLeaving { return conclude() }
        self.failure = failure
        guard let link, let session = link.session else { return conclude() }
        isLeaving = true
        session.close()
        let outcome = leftovers.send(ground.cipherOut, to: link.socket.stream)
        ground.cipherOut.removeAll()
        guard outcome == .complete else { return conclude() }
        link.socket.stream.shutdownWriting()
        if watch == nil { listen(link) }
    }

    private func conclude() {
        deadline?.cancel()
        opening?.stop()
        if let watch { ground.poller.unwatch(watch) }
        (watch, opening, link) = (nil, nil, nil)
        let done = self.done
        self.done = nil
        done?(failure)
    }
}
