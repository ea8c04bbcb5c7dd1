import IO
import OpenSSL

/// TLS on the way to the database: both sessions of a connection work in the lane's buffers, one after the other, so
/// `cipherOut` is emptied between what one and the other has to say.
extension RelayedConnection {
    /// The client's first message, for a backend that nothing has been sent to. False when its TLS fails.
    func takeEarly() -> Bool {
        guard let backendSession else {
            leftoversUp.append(origin.early)
            return true
        }
        var rest = origin.early[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Self.smallPiece)
            rest = rest.dropFirst(piece.count)
            ground.plain.append(Array(piece))
            guard seal(with: backendSession) else { return false }
            leftoversUp.append(ground.cipherOut.bytes())
            ground.cipherOut.removeAll()
        }
        return true
    }

    /// What the database has said in one breath with its handshake. False when the client is gone.
    func deliverEarly(_ bytes: [UInt8]) -> Bool {
        if bytes.isEmpty { return true }
        ground.plain.append(bytes)
        switch deliverDown() {
        case .complete: return true
        case .blocked:
            machine.controlBytesWait()
            return true
        case .failed, nil:
            clearBuffers()
            return false
        }
    }

    /// Sends all that lies in the lane's `plain` to the backend; nil when its TLS fails.
    func sendUp() -> SendOutcome? {
        guard let backendSession else { return leftoversUp.send(ground.plain, to: backend.stream) }
        return seal(with: backendSession) ? leftoversUp.send(ground.cipherOut, to: backend.stream) : nil
    }

    // MARK: backend to client

    func openDown(_ backendSession: TLSSession) -> RelayStateMachine.Action {
        let limit = floor.isUnderPressure ? Self.tinyPiece : pieceDown
        var isFilled = false
        // It may have ended while the connection was on its way here.
        if backendSession.isQuiet {
            switch backend.stream.read(into: ground.cipherIn, limit: limit) {
            case .bytes(let count):
                isFilled = count == limit
                budget -= count
                lastProgress = ground.poller.now
            case .wouldBlock: return machine.transferred(.down, sourceIsDrained: true, sinkIsFull: false)
            case .failed: return machine.readFailed(.backend)
            case .ended:
                // The end of TCP without the end of TLS: what came before may be cut, and the client must know it.
                ending = ending ?? .backendTLSFailed
                return machine.readFailed(.backend)
            }
        }
        var isBlocked = false
        while true {
            let outcome = backendSession.read(into: ground.plain)
            let takesControlBytes = sendBackendControlBytes()
            switch outcome {
            case .bytes:
                switch deliverDown() {
                case .complete: break
                case .blocked: isBlocked = true
                case .failed, nil:
                    clearBuffers()
                    return machine.writeFailed(.down)
                }
            case .wantsInput: return moved(isFilled: isFilled, isBlocked: isBlocked)
            case .wantsOutput: break
            case .ended:
                ground.cipherIn.removeAll()
                return machine.sourceEnded(.down, sinkIsFull: isBlocked)
            case .failed(let failure):
                clearBuffers()
                if ending == nil { (ending, endingDetail) = (.backendTLSFailed, failure.detail) }
                if isBlocked { machine.controlBytesWait() }
                sayBackendIsDown()
                return machine.readFailed(.backend)
            }
            guard takesControlBytes else {
                ground.cipherIn.removeAll()
                ending = ending ?? .backendTLSFailed
                if isBlocked { machine.controlBytesWait() }
                return machine.readFailed(.backend)
            }
        }
    }

    /// With TLS 1.3 a database refuses our certificate after the handshake is over for us (RFC 8446 §4.4.2.4): a
    /// PostgreSQL client that has not heard a word yet hears one now.
    private func sayBackendIsDown() {
        guard sent == 0, origin.startup != nil, leftoversDown.isEmpty, !hasClosedClient else { return }
        if sayLast(origin.isOfTunnel ? .remoteDown : .databaseDown) == .blocked { machine.controlBytesWait() }
    }

    /// What TLS itself has to say to the database: the answer to a KeyUpdate, an alert. False when the database does
    /// not take it.
    private func sendBackendControlBytes() -> Bool {
        if ground.cipherOut.isEmpty { return true }
        // After our close_notify there is nothing more to say.
        guard !hasClosedBackendTLS else {
            ground.cipherOut.removeAll()
            return true
        }
        switch leftoversUp.send(ground.cipherOut, to: backend.stream) {
        case .complete: return true
        case .blocked:
            machine.controlBytesWait(.up)
            return leftoversUp.size < 2 * ground.pieceLimit
        case .failed:
            ground.cipherOut.removeAll()
            return false
        }
    }

    // MARK: the client's end

    /// A client whose end may be a cut must not seem to have ended in order.
    func endUp() -> RelayStateMachine.Action {
        if let backendSession, !hasClosedBackendTLS {
            hasClosedBackendTLS = true
            if ending != .truncated { backendSession.close() }
            switch leftoversUp.send(ground.cipherOut, to: backend.stream) {
            case .complete: break
            case .blocked: return machine.endingSent(.up, sinkIsFull: true)
            case .failed:
                clearBuffers()
                return machine.writeFailed(.up)
            }
        }
        backend.stream.shutdownWriting()
        return machine.endingSent(.up, sinkIsFull: false)
    }
}
