import IO
import OpenSSL
import Reports

/// Moving bytes: one piece is received, sealed or opened in the lane's buffers, and sent in one go. What does not fit
/// anywhere becomes a leftover of the connection; the lane's buffers are empty again at the end of each step.
extension RelayedConnection {
    var ground: LaneGround { floor.ground }

    // MARK: client to backend

    func transferUp() -> RelayStateMachine.Action {
        guard let session else { return takeUp() }
        let limit = floor.isUnderPressure ? Self.tinyPiece : pieceUp
        let outcome = origin.socket.stream.read(into: ground.cipherIn, limit: limit)
        guard case .bytes(let count) = outcome else {
            switch outcome {
            case .failed: return machine.readFailed(.client)
            case .ended:
                // The end of TCP without the end of TLS: what came before may be cut (RFC 8446 §6.1).
                ending = ending ?? .truncated
                origin.listener.counters.truncated.add()
                return machine.sourceEnded(.up)
            default: return machine.transferred(.up, sourceIsDrained: true, sinkIsFull: false)
            }
        }
        budget -= count
        lastProgress = ground.poller.now
        let isFilled = count == limit
        switch openAndSend(session) {
        case .moved(let isBlocked):
            pieceUp = Self.adapted(pieceUp, isFilled: isFilled, isBlocked: isBlocked, limit: ground.pieceLimit)
            return machine.transferred(.up, sourceIsDrained: !isFilled && !clientHungUp, sinkIsFull: isBlocked)
        case .ended(let isBlocked): return machine.sourceEnded(.up, sinkIsFull: isBlocked)
        case .failed(let action): return action
        }
    }

    private enum Opened {
        case moved(isBlocked: Bool)
        /// By the client's close_notify.
        case ended(isBlocked: Bool)
        case failed(RelayStateMachine.Action)
    }

    /// Opens all that lies in the lane's `cipherIn`, and sends it to the backend.
    private func openAndSend(_ session: TLSSession) -> Opened {
        var isBlocked = false
        while true {
            let outcome = session.read(into: ground.plain)
            guard sendControlBytes() else { return .failed(machine.writeFailed(.down)) }
            switch outcome {
            case .bytes(let count):
                guard let outcome = passUp(count) else { return .failed(machine.writeFailed(.up)) }
                if outcome == .blocked { isBlocked = true }
            case .wantsInput: return .moved(isBlocked: isBlocked)
            case .wantsOutput: continue
            case .ended:
                ground.cipherIn.removeAll()
                return .ended(isBlocked: isBlocked)
            case .failed(let failure):
                clearBuffers()
                ending = ending ?? sessionFailed(failure)
                return .failed(machine.readFailed(.client))
            }
        }
    }

    /// A tunnel's client: its bytes come in clear, and so does their end.
    private func takeUp() -> RelayStateMachine.Action {
        let limit = floor.isUnderPressure ? Self.tinyPiece : pieceUp
        let outcome = origin.socket.stream.read(into: ground.plain, limit: limit)
        guard case .bytes(let count) = outcome else {
            switch outcome {
            case .failed: return machine.readFailed(.client)
            case .ended: return machine.sourceEnded(.up)
            default: return machine.transferred(.up, sourceIsDrained: true, sinkIsFull: false)
            }
        }
        budget -= count
        lastProgress = ground.poller.now
        guard let sending = passUp(count) else { return machine.writeFailed(.up) }
        let (isFilled, isBlocked) = (count == limit, sending == .blocked)
        pieceUp = Self.adapted(pieceUp, isFilled: isFilled, isBlocked: isBlocked, limit: ground.pieceLimit)
        return machine.transferred(.up, sourceIsDrained: !isFilled && !clientHungUp, sinkIsFull: isBlocked)
    }

    /// Sends the `count` bytes that lie in the lane's `plain` to the backend; nil when it takes no more.
    private func passUp(_ count: Int) -> SendOutcome? {
        received += UInt64(count)
        origin.listener.counters.bytesReceived.add(UInt64(count))
        let outcome = sendUp()
        switch outcome {
        case .complete, .blocked: return outcome
        case nil: ending = ending ?? .backendTLSFailed
        case .failed: break
        }
        clearBuffers()
        return nil
    }

    private func sessionFailed(_ failure: TLSFailure) -> CloseReason {
        guard failure.kind == .keyUpdateFlood else { return .tlsFailed }
        origin.listener.counters.keyUpdateFloods.add()
        return .keyUpdateFlood
    }

    /// What TLS itself has to say: the answer to a KeyUpdate, an alert. False when the client is gone, or asks for
    /// answers that it does not read.
    private func sendControlBytes() -> Bool {
        if ground.cipherOut.isEmpty { return true }
        // After our close_notify there is nothing more to say.
        guard !hasClosedClient else {
            ground.cipherOut.removeAll()
            return true
        }
        switch leftoversDown.send(ground.cipherOut, to: origin.socket.stream) {
        case .complete: return true
        case .blocked:
            machine.controlBytesWait()
            return leftoversDown.size < 2 * ground.pieceLimit
        case .failed:
            clearBuffers()
            return false
        }
    }

    // MARK: backend to client

    func transferDown() -> RelayStateMachine.Action {
        if let backendSession { return openDown(backendSession) }
        let limit = floor.isUnderPressure ? Self.tinyPiece : pieceDown
        let outcome = backend.stream.read(into: ground.plain, limit: limit)
        guard case .bytes(let count) = outcome else {
            switch outcome {
            case .failed: return machine.readFailed(.backend)
            case .ended: return machine.sourceEnded(.down)
            default: return machine.transferred(.down, sourceIsDrained: true, sinkIsFull: false)
            }
        }
        budget -= count
        lastProgress = ground.poller.now
        let isFilled = count == limit
        switch deliverDown() {
        case .complete: return moved(isFilled: isFilled, isBlocked: false)
        case .blocked: return moved(isFilled: isFilled, isBlocked: true)
        case .failed, nil:
            clearBuffers()
            return machine.writeFailed(.down)
        }
    }

    /// Sends all that lies in the lane's `plain` to the client; nil when its TLS fails.
    func deliverDown() -> SendOutcome? {
        let count = UInt64(ground.plain.count)
        sent += count
        origin.listener.counters.bytesSent.add(count)
        if keyWatch != nil { watchForKey() }
        if boundary != nil { followMessages() }
        guard let session else { return leftoversDown.send(ground.plain, to: origin.socket.stream) }
        guard seal(with: session) else {
            ending = ending ?? .tlsFailed
            return nil
        }
        return leftoversDown.send(ground.cipherOut, to: origin.socket.stream)
    }

    func moved(isFilled: Bool, isBlocked: Bool) -> RelayStateMachine.Action {
        pieceDown = Self.adapted(pieceDown, isFilled: isFilled, isBlocked: isBlocked, limit: ground.pieceLimit)
        return machine.transferred(
            .down, sourceIsDrained: !isFilled && !backendHungUp, sinkIsFull: isBlocked)
    }

    /// Into `cipherOut`, which has room for all that `plain` can hold.
    func seal(with session: TLSSession) -> Bool {
        while !ground.plain.isEmpty {
            guard case .bytes = session.write(from: ground.plain) else { return false }
        }
        return true
    }

    private func followMessages() {
        let plain = ground.plain
        var offset = 0
        while offset < plain.count, let skipped = boundary?.skipped(upTo: plain.count - offset) {
            offset += skipped
            guard offset < plain.count else { return }
            boundary?.saw(plain[offset])
            offset += 1
        }
    }

    private func watchForKey() {
        var rest = ground.plain.bytes()[...]
        while !rest.isEmpty, let (action, consumed) = keyWatch?.received(rest) {
            rest = rest.dropFirst(consumed)
            switch action {
            case .goOn: return
            case .learn(let key):
                if let cancelKey { floor.house.cancels.forget(cancelKey, of: origin) }
                cancelKey = key
                floor.house.cancels.learn(key, of: origin, at: backend.address)
            case .stop: keyWatch = nil
            }
        }
    }

    // MARK: leftovers and endings

    func flush(_ direction: RelayStateMachine.Direction) -> RelayStateMachine.Action {
        let outcome =
            direction == .up ? leftoversUp.flush(to: backend.stream) : leftoversDown.flush(to: origin.socket.stream)
        switch outcome {
        case .complete, .blocked:
            lastProgress = ground.poller.now
            return machine.flushed(direction, isComplete: outcome == .complete)
        case .failed: return machine.writeFailed(direction)
        }
    }

    func sendEnding(_ direction: RelayStateMachine.Direction) -> RelayStateMachine.Action {
        guard direction == .down else { return endUp() }
        if !hasClosedClient {
            session?.close()
            hasClosedClient = true
            switch leftoversDown.send(ground.cipherOut, to: origin.socket.stream) {
            case .complete: break
            case .blocked: return machine.endingSent(.down, sinkIsFull: true)
            case .failed:
                clearBuffers()
                return machine.writeFailed(.down)
            }
        }
        origin.socket.stream.shutdownWriting()
        return machine.endingSent(.down, sinkIsFull: false)
    }

    /// The last that the client hears: words of its protocol where it has any, and the end of TLS where it has that.
    @discardableResult func sayLast(_ words: PostgresError?) -> SendOutcome {
        hasClosedClient = true
        defer { clearBuffers() }
        guard let session else {
            guard let words else { return .complete }
            ground.plain.append(words.bytes)
            return leftoversDown.send(ground.plain, to: origin.socket.stream)
        }
        if let words { ground.plain.append(words.bytes) }
        if seal(with: session) { session.close() }
        return leftoversDown.send(ground.cipherOut, to: origin.socket.stream)
    }

    /// The lane's buffers belong to the next connection.
    func clearBuffers() {
        ground.plain.removeAll()
        ground.cipherIn.removeAll()
        ground.cipherOut.removeAll()
    }

    /// Twice as large while the source fills it and the sink takes it; half as large for a slow reader.
    private static func adapted(_ piece: Int, isFilled: Bool, isBlocked: Bool, limit: Int) -> Int {
        if isBlocked { return max(smallPiece, piece / 2) }
        return isFilled ? min(limit, piece * 2) : piece
    }
}
