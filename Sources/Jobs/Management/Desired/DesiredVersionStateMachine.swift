/// Whether a desired state that was verified takes the place of the one that is applied: versions and keys go forward
/// only, and what is out of date is applied by nobody who has not applied it before.
///
/// Times are seconds since 1970.
struct DesiredVersionStateMachine: Equatable {
    struct Offer: Equatable {
        let version: Int64
        /// Of the whole envelope: two of one version are not the same.
        let hash: String
        let issuedAt: Int64
        let expiresAt: Int64
        /// When the certificate of its key begins.
        let keyMadeAt: Int64
    }

    enum Verdict: Equatable {
        case apply
        /// It is the one that is applied.
        case known
        case refuse(Objection)
    }

    enum Objection: Equatable, CaseIterable { case olderVersion, sameVersion, olderKey, expired, fromTheFuture }

    /// How far clocks may differ.
    static let tolerance: Int64 = 300

    private(set) var applied: Offer?

    func offered(_ offer: Offer, at now: Int64) -> Verdict {
        if let applied {
            if offer == applied { return .known }
            if offer.version < applied.version { return .refuse(.olderVersion) }
            if offer.version == applied.version { return .refuse(.sameVersion) }
            if offer.keyMadeAt < applied.keyMadeAt { return .refuse(.olderKey) }
        }
        if now >= offer.expiresAt { return .refuse(.expired) }
        return offer.issuedAt > now + Self.tolerance ? .refuse(.fromTheFuture) : .apply
    }

    /// It is in effect, as it was at the start or because `offered` said so.
    mutating func applied(_ offer: Offer) { applied = offer }

    /// What is applied stays, and should have been renewed.
    func isExpired(at now: Int64) -> Bool { applied.map { now >= $0.expiresAt } ?? false }
}
