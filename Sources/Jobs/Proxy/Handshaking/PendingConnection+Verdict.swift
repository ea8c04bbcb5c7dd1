import IO
import OpenSSL
import Reports

/// What becomes of a client that has said who it is, and of one that never will.
extension PendingConnection {
    func decide(said: [UInt8]) {
        guard let session else { return leave(.noPeerCertificate) }
        // Whatever came with the client's last message, its end too: the lane's buffer belongs to the next connection.
        var early = said
        var (ending, more) = session.receive(limit: ground.pieceLimit)
        while !more.isEmpty {
            early += more
            (ending, more) = session.receive(limit: ground.pieceLimit)
        }
        ground.cipherIn.removeAll()
        guard sendCipher() else { return leave(.clientLeft) }
        switch handshake {
        case .none: leave(.noPeerCertificate)
        case .refused(let failure): refuse(Refusal(failure), RefusalReason(failure), request: early)
        case .verified(let facts): judge(session, facts, early, hasEnded: ending == .ended)
        }
    }

    private func judge(_ session: TravellingSession, _ facts: TLSFacts, _ early: [UInt8], hasEnded: Bool) {
        guard var attributes = facts.peer else { return leave(.noPeerCertificate) }
        attributes.session = startup?.session
        let above = facts.chain.dropFirst().map { PeerAttributes($0) }
        if let entry = listener.denial(of: attributes, above) {
            listener.counters.denied.add()
            return refuse(.notAllowed("it is denied"), .denied, detail: "deny list: \(entry)", request: early)
        }
        switch listener.policy.authorize(attributes, intermediates: above) {
        case .refused(let objection):
            listener.counters.denied.add()
            refuse(
                Refusal(objection, to: startup), RefusalReason(objection), detail: objection.rule, request: early)
        case .allowed(let peer):
            switch floor.house.admission.authenticated(id, as: attributes) {
            case .admit: handOver(session, peer, facts, early, hasEnded: hasEnded)
            case .refuse(let excess):
                let detail = excess.description
                refuse(.tooManyConnections(detail), excess.reason, detail: detail, request: early)
            case .gone: leave(.evicted)
            }
        }
    }

    private func handOver(
        _ session: TravellingSession, _ peer: AuthorizedPeer, _ facts: TLSFacts, _ early: [UInt8], hasEnded: Bool
    ) {
        detachFromLane()
        session.detach()
        let connection = AuthorizedConnection(
            id: id, listener: listener, socket: socket, session: session, admitted: .peer(peer, facts),
            generation: generation, authorities: authorities, backendSecurity: backendSecurity, startup: startup,
            early: early, unsent: leftovers.takeAll(), clientHasEnded: hasEnded)
        floor.house.reports.accepted(connection)
        if let objection = peer.tolerated { floor.house.reports.tolerated(connection, objection) }
        floor.handedOver(id)
        floor.house.place(connection)
    }

    func cancel(_ request: CancelRequest) {
        if case .refused(let failure) = handshake { return leave(RefusalReason(failure)) }
        let asker: CancelRegistry.Asker =
            isOfTunnel ? .local : facts?.peer.map { .overTLS($0) } ?? .clear(socket.address)
        let house = floor.house
        let match = mayCancel ? house.cancels.match(request, listener: listener.name, from: asker) : nil
        guard let target = match else {
            house.reports.cancelDropped(listener, socket, facts: facts)
            return leave(.cancelUnmatched)
        }
        let timeouts = listener.configuration.timeouts
        let id = self.id
        let client = socket
        let introduction = BackendIntroduction(of: client, facts, connection: id, at: listener.configuration)
        let forwarding = CancelForwarding(
            request, to: target.backend, of: listener, introducing: introduction, on: ground
        ) {
            [weak floor] in
            // The client's socket is kept until here.
            withExtendedLifetime(client) { floor?.departed(id) }
        }
        guard let forwarding else { return leave(.backendDown) }
        house.reports.cancelForwarded(listener, socket, session: target.session, facts: facts)
        detachFromLane()
        floor.settle(id, forwarding)
        forwarding.start(within: timeouts.connect)
    }

    /// Who is denied may not even end a session of the same name; in clear nobody says who he is.
    private var mayCancel: Bool {
        guard let facts, let peer = facts.peer else { return true }
        let above = facts.chain.dropFirst().map { PeerAttributes($0) }
        if listener.denial(of: peer, above) != nil { return false }
        // A rule that allows may not fit only because a CancelRequest names no user.
        if case .refused(.denied) = listener.policy.authorize(peer, intermediates: above) { return false }
        return true
    }

    // MARK: the other ends

    func refuse(_ refusal: Refusal, _ reason: RefusalReason, detail: String? = nil, request: [UInt8]) {
        leave(
            reason, detail: detail, saying: .refusal(refusal, listener.configuration.databaseProtocol, request: request)
        )
    }

    func leave(_ reason: RefusalReason, detail: String? = nil, saying words: Farewell.Words = .none) {
        if phase == .over { return }
        let house = floor.house
        // However it ends: this is why it could not have ended otherwise.
        let failure = handshake.failure
        let cause = failure.map { RefusalReason($0) } ?? reason
        house.reports.refused(
            listener, socket, cause, detail: failure?.detail ?? detail, facts: facts, startup: startup)
        // Behind a tunnel's address stands the whole node.
        if cause.isHostile, !isOfTunnel { house.misbehaved(id, cause) }
        if reason == .drained, phase == .greeting { sayGoodbye() }
        detachFromLane()
        // Who has been told something, or said something, must be able to read the answer.
        let isSilent = session == nil && leftovers.isEmpty && { if case .none = words { true } else { false } }()
        if isSilent || reason == .evicted || reason == .drained { return floor.departed(id) }
        let id = self.id
        let farewell = Farewell(words, to: socket, session: session, leftovers: leftovers, on: ground) {
            [weak floor] in floor?.departed(id)
        }
        floor.settle(id, farewell)
        farewell.start(patience: patience)
    }

    /// A PostgreSQL client inside TLS reads what its own server would say; it is not waited for.
    private func sayGoodbye() {
        guard let session, leftovers.isEmpty, let words = CloseReason.drained.words() else { return }
        if session.send(words.bytes) { session.close() }
        _ = sendCipher()
    }

    func detachFromLane() {
        phase = .over
        deadline?.cancel()
        turn?.cancel()
        if let watch { ground.poller.unwatch(watch) }
        watch = nil
    }
}
