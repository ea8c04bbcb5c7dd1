import OpenSSL

/// One round over a lane's live connections after trust or rules have changed, in turns that its sessions do not feel.
struct StandingReview {
    /// Chains that one turn may verify: each takes a fraction of a millisecond of signatures.
    private static let verificationsPerTurn = 8
    /// Most connections share their certificate with others.
    private static let memoryLimit = 4096

    private struct Subject: Hashable {
        let listener: ObjectIdentifier
        let generation: UInt64
        let chain: [Certificate]
        let session: SessionRequest?
    }

    private var waiting: [UInt64]
    private var known: [Subject: CloseReason?] = [:]
    private var verifications = 0

    /// `before`: a round that is not over; its connections are judged in this one.
    init(of connections: [UInt64], after before: StandingReview?) {
        waiting = (before?.waiting ?? []) + connections
    }

    var isOver: Bool { waiting.isEmpty }
    var isTurnOver: Bool { verifications >= Self.verificationsPerTurn }
    var atNextTurn: StandingReview {
        var next = self
        next.verifications = 0
        return next
    }

    mutating func next() -> UInt64? { waiting.popLast() }

    mutating func objection(to connection: AuthorizedConnection, at now: Int64) -> CloseReason? {
        guard let standing = connection.listener.standing else { return nil }
        let subject = Subject(
            listener: ObjectIdentifier(connection.listener), generation: standing.generation,
            chain: connection.facts.chain, session: connection.peer.attributes.session)
        if let verdict = known[subject] { return verdict }
        verifications += 1
        let verdict = standing.objection(to: connection.peer, connection.facts.chain, at: now)
        if known.count < Self.memoryLimit { known[subject] = .some(verdict) }
        return verdict
    }
}
