import IO

/// What a listed proxy has to say before its client is heard.
extension PendingConnection {
    /// Takes the header to its last byte, and no further.
    func hearProxyHeader() {
        while true {
            let outcome = socket.stream.read(into: ground.cipherIn, limit: headerLimit)
            let bytes = ground.cipherIn.bytes()
            ground.cipherIn.removeAll()
            let action: ProxyHeaderStateMachine.Action
            switch outcome {
            case .bytes: action = proxyHeader.received(bytes)
            case .wouldBlock: return
            case .ended, .failed: action = proxyHeader.ended()
            }
            switch action {
            case .read(let limit): headerLimit = limit
            case .accept(let header): return accept(header)
            case .refuse(let reason, let detail): return leave(reason, detail: detail)
            }
        }
    }

    private func accept(_ header: ProxyHeader) {
        if case .client(let client, let server) = header.origin {
            socket.announce(client, at: server)
            switch floor.house.admission.announced(id, from: client) {
            case .admit(let evictions): floor.evictAnywhere(evictions)
            case .refuse(let excess): return leave(excess.reason, detail: excess.description)
            }
        }
        phase = Self.firstPhase(listener)
        advance()
    }
}
