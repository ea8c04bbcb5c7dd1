import IO
import OpenSSL

/// One node at the plane, from its connect to its end.
final class PlaneConnection: Watcher {
    private enum Phase { case connecting, shakingHands, asking, leaving, over }

    private static let answerLimit = 1 << 20
    private let call: PlaneCall
    private let floor: PlaneFloor
    private let session: TLSSession
    private var socket: LoadSocket?
    private var watch: WatchToken?
    private var phase = Phase.connecting
    private var answer: [UInt8] = []
    private var tag: String?

    init(_ call: PlaneCall, _ floor: PlaneFloor) {
        self.call = call
        self.floor = floor
        session = TLSSession(call.context, floor.transport)
    }

    func start() {
        do throws(IOError) {
            let socket = LoadSocket(try StreamSocket.connect(to: floor.address))
            socket.stream.prepare(for: floor.address)
            self.socket = socket
            watch = try floor.poller.watch(socket.stream.rawValue, self)
        } catch {
            finish(failure: error.description)
        }
    }

    func becameReady(_ readiness: Readiness) {
        switch phase {
        case .connecting:
            if let error = socket?.stream.connectError() { return finish(failure: error.description) }
            guard readiness.contains(.writable) else { return }
            phase = .shakingHands
            shakeHands()
        case .shakingHands: shakeHands()
        case .asking, .leaving: listen()
        case .over: break
        }
    }

    private func shakeHands() {
        while true {
            let outcome = session.handshake()
            guard flush() else { return }
            switch outcome {
            case .finished:
                phase = .asking
                return ask()
            case .failed(let failure), .finishedUnverified(let failure):
                return finish(failure: "handshake: \(failure)")
            case .wantsOutput: continue
            case .wantsInput:
                switch socket?.stream.read(into: floor.transport.cipherIn) {
                case .bytes: continue
                case .wouldBlock: return
                case .ended, .failed, nil: return finish(failure: "handshake: the plane closed the connection")
                }
            }
        }
    }

    private func ask() {
        let request =
            switch call.request {
            case .once(let bytes): bytes
            case .news(let cluster): PlaneCall.question(cluster, after: tag)
            }
        floor.plain.removeAll()
        floor.plain.append(request)
        guard case .bytes(request.count) = session.write(from: floor.plain) else {
            return finish(failure: "cannot encrypt")
        }
        _ = flush()
    }

    private func listen() {
        while let socket, phase != .over {
            switch socket.stream.read(into: floor.transport.cipherIn) {
            case .bytes: take()
            case .wouldBlock: return
            case .ended, .failed:
                return finish(failure: phase == .leaving ? nil : "the plane closed the connection")
            }
        }
    }

    /// Opens all of `cipherIn`.
    private func take() {
        repeat {
            floor.plain.removeAll()
            switch session.read(into: floor.plain) {
            case .bytes: answer += floor.plain.bytes()
            case .wantsInput, .wantsOutput, .ended: floor.transport.cipherIn.removeAll()
            case .failed(let failure): return finish(failure: phase == .leaving ? nil : "\(failure)")
            }
        } while !floor.transport.cipherIn.isEmpty || session.hasPendingInput
        guard phase == .asking else { return }
        guard answer.count < Self.answerLimit else { return finish(failure: "the answer has no end") }
        guard let whole = PlaneAnswer(answer) else { return }
        answer = []
        heard(whole)
    }

    private func heard(_ answer: PlaneAnswer) {
        switch (call.request, answer.status) {
        case (.once, _):
            leave()
            floor.answered(call.number, answer)
        case (.news, 200), (.news, 304):
            let known = tag
            tag = answer.tag
            ask()
            if known == nil { floor.waits() } else if answer.status == 200 { floor.heard() }
        case (.news, _):
            finish(failure: "status \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
        }
    }

    private func leave() {
        phase = .leaving
        session.close()
        guard flush() else { return }
        socket?.stream.shutdownWriting()
    }

    func abort() {
        socket?.stream.reset()
        finish()
    }

    /// Short messages fit into a socket's buffer; false when the connection is over.
    private func flush() -> Bool {
        let output = floor.transport.cipherOut
        guard let socket, !output.isEmpty else { return socket != nil }
        if case .bytes = socket.stream.write(from: output), output.isEmpty { return true }
        finish(failure: "cannot send")
        return false
    }

    private func finish(failure: String? = nil) {
        if phase == .over { return }
        phase = .over
        floor.transport.cipherIn.removeAll()
        floor.transport.cipherOut.removeAll()
        if let watch { floor.poller.unwatch(watch) }
        watch = nil
        socket = nil
        floor.ended(call.number, wasWaiting: tag != nil, failure: failure)
    }
}
