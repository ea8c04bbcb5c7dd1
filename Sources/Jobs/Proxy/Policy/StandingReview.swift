import OpenSSL

/// One round over a lane's live connections after trust or rules have changed, in turns that its sessions do not feel.
struct StandingReview {
    /// What one turn may cost: some milliseconds, in steps of about four microseconds.
    private static let effortPerTurn = 512
    private static let effortOfVerifying = 64
    private static let effortOfCutting = 16
    /// Most connections share their certificate with others.
    private static let memoryLimit = 4096

    private struct Subject: Hashable {
        let listener: ObjectIdentifier
        let generation: UInt64
        let chain: [Certificate]
        let session: SessionRequest?
        let isKnown: Bool
    }

    private var waiting: [UInt64]
    private var known: [Subject: CloseReason?] = [:]
    private var effort = 0

    /// `before`: a round that is not over; its connections are judged in this one.
    init(of connections: [UInt64], after before: StandingReview?) {
        waiting = (before?.waiting ?? []) + connections
    }

    var isOver: Bool { waiting.isEmpty }
    var isTurnOver: Bool { effort >= Self.effortPerTurn }
    var atNextTurn: StandingReview {
        var next = self
        next.effort = 0
        return next
    }

    mutating func next() -> UInt64? { waiting.popLast() }

    /// Remembers in a connection that may stay which authorities have verified it last.
    mutating func objection(to connection: RelayedConnection, at now: Int64) -> CloseReason? {
        let origin = connection.origin
        guard let standing = origin.listener.standing else { return nil }
        let chain = connection.facts.chain
        let isKnown = standing.isKnown(chain, under: connection.verifiedUnder)
        let subject = Subject(
            listener: ObjectIdentifier(origin.listener), generation: standing.generation, chain: chain,
            session: connection.attributes.session, isKnown: isKnown)
        effort += 1
        let verdict: CloseReason?
        if let before = known[subject] {
            verdict = before
        } else {
            effort += isKnown ? 1 : Self.effortOfVerifying
            verdict = standing.objection(
                to: connection.attributes, chain, verifiedUnder: connection.verifiedUnder, at: now)
            if known.count < Self.memoryLimit { known[subject] = .some(verdict) }
        }
        if verdict == nil { connection.verifiedUnder = standing.authorities } else { effort += Self.effortOfCutting }
        return verdict
    }
}
