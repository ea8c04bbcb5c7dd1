import Glibc
import IO
import OpenSSL

/// One client, from its connect to its end; follows its order's script.
final class LoadConnection: Watcher, TimerTarget {
    private enum Phase { case connecting, shakingHands, talking, leaving, over }

    private let order: LoadOrder
    private let floor: LoadFloor
    private let transport: TLSTransport
    private let session: TLSSession?
    private var socket: LoadSocket?
    private var watch: WatchToken?
    private var phase = Phase.connecting
    private var hungUp = false
    private var awaited = 0
    private var began = ContinuousClock.now

    private static let bulkPiece = 256 << 10
    /// So that the bytes wait in the subject, and not in the kernel.
    private static let stalledBuffer: Int32 = 16 << 10
    /// Pieces before the others of the lane have their turn.
    private static let turn = 8

    init(_ order: LoadOrder, _ context: TLSContext?, _ floor: LoadFloor) {
        self.order = order
        self.floor = floor
        // In bulk a socket may take less than all of it: the rest must stay with its connection.
        transport =
            order.script.isBulk
            ? TLSTransport(
                cipherIn: LaneBuffer(capacity: Self.bulkPiece),
                cipherOut: LaneBuffer(capacity: Self.bulkPiece + 32 << 10))
            : floor.transport
        session = context.map { [transport] in TLSSession($0, transport) }
    }

    func start() {
        do throws(IOError) {
            let socket = LoadSocket(try StreamSocket.connect(to: order.address))
            socket.stream.prepare(for: order.address)
            if order.script == .stall { socket.limitReceiveBuffer(Self.stalledBuffer) }
            self.socket = socket
            watch = try floor.poller.watch(socket.stream.rawValue, self)
        } catch {
            finish(failure: error.description)
        }
    }

    func becameReady(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.hungUp, .failed]) { hungUp = true }
        switch phase {
        case .connecting:
            if let error = socket?.stream.connectError() { return finish(failure: error.description) }
            guard readiness.contains(.writable) else { return }
            phase = .shakingHands
            if session == nil { talk() } else { shakeHands() }
        case .shakingHands: shakeHands()
        case .talking:
            if order.script == .upload, readiness.contains(.writable) { pour() }
            if readiness != .writable { listen() }
        case .leaving: awaitEnd()
        case .over: break
        }
    }

    func timerFired(_ token: TimerToken) {
        guard phase == .talking else { return }
        if order.script == .upload { pour() } else { listen() }
    }

    private func shakeHands() {
        guard let session, let socket else { return }
        while true {
            let outcome = session.handshake()
            guard flush() else { return }
            switch outcome {
            case .finished: return talk()
            case .failed(let failure), .finishedUnverified(let failure):
                return finish(failure: "handshake: \(failure)")
            case .wantsOutput: continue
            case .wantsInput:
                switch socket.stream.read(into: transport.cipherIn) {
                case .bytes: continue
                case .wouldBlock: return
                case .ended, .failed: return finish(failure: "handshake: the subject closed the connection")
                }
            }
        }
    }

    // MARK: the script

    private func talk() {
        phase = .talking
        if order.script != .visits { began = .now }
        say(order.script == .exchanges ? Script.exchangeLength : 1)
        if order.script == .upload { pour() }
        if order.script == .stall {
            floor.completed(since: began)
            floor.startNext()
        }
    }

    private func say(_ count: Int) {
        awaited = count
        let plain = floor.plain
        plain.removeAll()
        plain.append([order.script.wish.rawValue] + [UInt8](repeating: 0, count: count - 1))
        if let session {
            guard case .bytes(count) = session.write(from: plain) else { return finish(failure: "cannot encrypt") }
            _ = flush()
        } else {
            guard case .bytes(count) = socket?.stream.write(from: plain) else { return finish(failure: "cannot send") }
        }
    }

    private func heard(_ count: Int) {
        floor.progress.bytesReceived.add(count)
        if order.script.isBulk || awaited == 0 { return }
        awaited -= count
        guard awaited <= 0 else { return }
        floor.completed(since: began)
        switch order.script {
        case .visits: leave()
        case .exchanges:
            began = .now
            say(Script.exchangeLength)
        case .hold, .waitForEnd: floor.startNext()
        case .download, .upload, .stall: break
        }
    }

    private func pour() {
        guard let socket else { return }
        let plain = floor.plain
        for _ in 0..<Self.turn {
            if let session, transport.cipherOut.isEmpty {
                plain.removeAll()
                plain.withFreeSpace { min($0.count, Self.bulkPiece) }
                guard case .bytes = session.write(from: plain) else { return finish(failure: "cannot encrypt") }
            }
            if session == nil {
                plain.removeAll()
                plain.withFreeSpace { min($0.count, Self.bulkPiece) }
            }
            let buffer = session == nil ? plain : transport.cipherOut
            if case .failed(let error) = socket.stream.write(from: buffer) { return finish(failure: error.description) }
            if !buffer.isEmpty { return }
        }
        _ = floor.poller.schedule(after: .zero, self)
    }

    private func listen() {
        guard let socket, order.script != .stall else { return }
        let plain = floor.plain
        let buffer = session == nil ? plain : transport.cipherIn
        for _ in 0..<Self.turn {
            guard phase == .talking else { return }
            plain.removeAll()
            switch socket.stream.read(into: buffer, limit: Self.bulkPiece) {
            case .bytes(let count):
                let isFilled = count == Self.bulkPiece
                guard let opened = session == nil ? count : open() else { return }
                plain.removeAll()
                if opened > 0 { heard(opened) }
                if !isFilled, !hungUp { return }
            case .wouldBlock: return
            case .ended, .failed:
                guard order.script == .waitForEnd else { return finish(failure: "the subject closed the connection") }
                floor.endedBySubject()
                return finish()
            }
        }
        _ = floor.poller.schedule(after: .zero, self)
    }

    /// Opens all of `cipherIn`; how much it was.
    private func open() -> Int? {
        guard let session else { return nil }
        var total = 0
        repeat {
            floor.plain.removeAll()
            switch session.read(into: floor.plain) {
            case .bytes(let count): total += count
            case .wantsInput, .wantsOutput: return total
            case .ended: return total
            case .failed(let failure):
                finish(failure: "\(failure)")
                return nil
            }
        } while !transport.cipherIn.isEmpty || session.hasPendingInput
        return total
    }

    // MARK: the end

    func endEarly() {
        switch phase {
        case .connecting, .shakingHands: if order.script != .visits { abort() }
        case .talking:
            if order.script.isBulk || order.script == .stall { abort() } else if order.script != .visits { leave() }
        case .leaving, .over: break
        }
    }

    private func leave() {
        phase = .leaving
        if let session {
            session.close()
            guard flush() else { return }
        }
        socket?.stream.shutdownWriting()
    }

    private func awaitEnd() {
        while let socket {
            let outcome = socket.stream.read(into: transport.cipherIn)
            transport.cipherIn.removeAll()
            switch outcome {
            case .bytes: continue
            case .wouldBlock: return
            case .ended, .failed: return finish()
            }
        }
    }

    private func abort() {
        socket?.stream.reset()
        finish()
    }

    /// Short messages fit into a socket's buffer; false when the connection is over.
    private func flush() -> Bool {
        guard let socket, !transport.cipherOut.isEmpty else { return socket != nil }
        if case .bytes = socket.stream.write(from: transport.cipherOut), transport.cipherOut.isEmpty { return true }
        finish(failure: "cannot send")
        return false
    }

    private func finish(failure: String? = nil) {
        if phase == .over { return }
        phase = .over
        transport.cipherIn.removeAll()
        transport.cipherOut.removeAll()
        if let watch { floor.poller.unwatch(watch) }
        watch = nil
        socket = nil
        floor.ended(self, failure: failure)
    }
}

/// Closed with its last reference.
final class LoadSocket {
    let stream: StreamSocket

    init(_ stream: consuming StreamSocket) { self.stream = stream }

    func limitReceiveBuffer(_ bytes: Int32) {
        var bytes = bytes
        setsockopt(stream.rawValue, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    }
}
