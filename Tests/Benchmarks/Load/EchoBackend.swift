import Glibc
import IO

/// Stands where the database would: each client's first byte says what it wants. One lane, one thread.
actor EchoBackend: LaneResident {
    nonisolated let lane: Lane
    nonisolated let address: SocketAddress
    nonisolated let tally: BackendTally
    let poller: Poller
    private let port: BackendPort

    init() throws(IOError) {
        let lane = Lane(label: "backend")
        let tally = BackendTally()
        let socket = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
        socket.prepareConnections()
        self.lane = lane
        self.tally = tally
        address = socket.address
        let poller = Poller(lane: lane)
        self.poller = poller
        port = BackendPort(socket, poller, tally)
    }

    nonisolated func start() {
        lane.start(self)
        submit { $0.port.open() }
    }
}

/// What others may ask about the backend at any time.
final class BackendTally: Sendable {
    let guests = SharedCount()
    let swallowedBytes = SharedCount()
}

private final class BackendPort: Watcher {
    let poller: Poller
    let tally: BackendTally
    let buffer = LaneBuffer(capacity: 256 << 10)
    private let socket: ListeningSocket

    init(_ socket: consuming ListeningSocket, _ poller: Poller, _ tally: BackendTally) {
        self.socket = socket
        self.poller = poller
        self.tally = tally
    }

    func open() {
        let watch = try? poller.watch(socket.rawValue, for: .readable, self)
        precondition(watch != nil, "the backend cannot watch its port")
    }

    func becameReady(_ readiness: Readiness) {
        while true {
            switch socket.accept() {
            case .accepted(let stream, _): Guest(stream, self).start()
            case .failed: continue
            case .wouldBlock: return
            case .exhausted: return
            }
        }
    }
}

/// One connection to the backend; the poller keeps it until it ends.
private final class Guest: Watcher, TimerTarget {
    private let stream: StreamSocket
    private let port: BackendPort
    private var wish: Wish?
    private var hungUp = false
    private var watch: WatchToken?

    /// Reads or writes before the others of the lane have their turn.
    private static let turn = 8
    private static let zeros = [UInt8](repeating: 0, count: 256 << 10)

    init(_ stream: consuming StreamSocket, _ port: BackendPort) {
        self.stream = stream
        self.port = port
    }

    func start() {
        port.tally.guests.add(1)
        watch = try? port.poller.watch(stream.rawValue, self)
        if watch == nil { port.tally.guests.add(-1) }
    }

    func becameReady(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.hungUp, .failed]) { hungUp = true }
        if wish == .download, readiness.contains(.writable) { pour() }
        listen()
    }

    func timerFired(_ token: TimerToken) {
        if wish == .download { pour() } else { listen() }
    }

    private func listen() {
        for _ in 0..<Self.turn {
            if watch == nil { return }
            switch port.buffer.isEmpty ? stream.read(into: port.buffer) : .wouldBlock {
            case .bytes(let count):
                let isFilled = port.buffer.freeCount == 0
                serve(count)
                if !isFilled, !hungUp { return }
            case .wouldBlock: return
            case .ended, .failed: return end()
            }
        }
        _ = port.poller.schedule(after: .zero, self)
    }

    private func serve(_ count: Int) {
        let isFirst = wish == nil
        if isFirst { wish = Wish(rawValue: port.buffer[0]) }
        switch wish {
        case .echo:
            // Requests are short and answered one by one: a socket's buffer takes the whole answer.
            if case .bytes = stream.write(from: port.buffer), port.buffer.isEmpty { return }
            end()
        case .upload: port.tally.swallowedBytes.add(count)
        case .download: if isFirst { pour() }
        case nil: end()
        }
        port.buffer.removeAll()
    }

    private func pour() {
        for _ in 0..<Self.turn {
            if watch == nil { return }
            let sent = Self.zeros.withUnsafeBytes {
                send(stream.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent < 0, errno != EAGAIN { return end() }
            if sent < Self.zeros.count { return }
        }
        _ = port.poller.schedule(after: .zero, self)
    }

    private func end() {
        guard let watch else { return }
        port.poller.unwatch(watch)
        self.watch = nil
        stream.shutdownWriting()
        port.tally.guests.add(-1)
    }
}
