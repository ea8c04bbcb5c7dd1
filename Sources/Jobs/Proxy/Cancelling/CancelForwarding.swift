import IO
import OpenSSL

/// Brings one CancelRequest to the database, over TLS where the listener wants it, and waits until the database has
/// taken it, then lets the client go: libpq takes the end of the connection for the answer.
final class CancelForwarding: Watcher, Occupant {
    private let request: CancelRequest
    private let ground: LaneGround
    private let opening: BackendOpening
    private var link: BackendLink?
    private var leftovers = Leftovers()
    private var watch: WatchToken?
    private var deadline: Deadline?
    private let done: () -> Void

    /// nil if there is no way to the database.
    init?(
        _ request: CancelRequest, to address: SocketAddress, of listener: ListenerState,
        introducing asker: BackendIntroduction, on ground: LaneGround, done: @escaping () -> Void
    ) {
        let security = listener.admission?.contexts.backend
        // The key is the session's secret: never in clear instead.
        if listener.configuration.backendTLS != nil, security == nil { return nil }
        guard
            let opening = try? BackendOpening(
                to: address, security, of: listener.configuration, introducing: asker, on: ground)
        else { return nil }
        self.request = request
        self.opening = opening
        self.ground = ground
        self.done = done
    }

    func start(within limit: Duration) {
        deadline = Deadline(after: limit, on: ground.poller) { [weak self] in self?.finish() }
        do throws(IOError) { try opening.start { [weak self] in self?.ended($0) } } catch { finish() }
    }

    func becameReady(_ readiness: Readiness) {
        guard let link else { return }
        if case .failed = leftovers.flush(to: link.socket.stream) { return finish() }
        guard leftovers.isEmpty else { return }
        while true {
            let outcome = link.socket.stream.read(into: ground.cipherIn)
            ground.cipherIn.removeAll()
            switch outcome {
            // Session tickets: a close with unread bytes could destroy the request on its way.
            case .bytes where link.session != nil: continue
            case .bytes, .ended, .failed: return finish()
            case .wouldBlock: return
            }
        }
    }

    func abandon(_ reason: RefusalReason, detail: String?) { finish() }

    private func ended(_ outcome: BackendOpening.Outcome) {
        guard case .open(let link) = outcome else { return finish() }
        self.link = link
        leftovers = link.unsent
        guard append(request.packet, link.session),
            let token = try? ground.poller.watch(link.socket.stream.rawValue, self)
        else { return finish() }
        watch = token
    }

    private func append(_ packet: [UInt8], _ session: TLSSession?) -> Bool {
        guard let session else {
            leftovers.append(packet)
            return true
        }
        ground.plain.append(packet)
        let outcome = session.write(from: ground.plain)
        let isWhole = ground.plain.isEmpty
        leftovers.append(ground.cipherOut.bytes())
        ground.plain.removeAll()
        ground.cipherOut.removeAll()
        if case .bytes = outcome { return isWhole }
        return false
    }

    private func finish() {
        deadline?.cancel()
        opening.stop()
        if let watch { ground.poller.unwatch(watch) }
        watch = nil
        link = nil
        done()
    }
}
