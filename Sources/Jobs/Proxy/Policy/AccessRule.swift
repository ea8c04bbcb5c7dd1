/// One rule of an access policy.
///
/// Values are checked and compiled when the rule is made, so that a wrong one is a mistake in the configuration and
/// never a rule that quietly matches nobody.
package struct AccessRule: Sendable, Equatable, CustomStringConvertible {
    package enum Key: String, Sendable, CaseIterable {
        case commonName = "common-name"
        case organization
        case organizationalUnit = "organizational-unit"
        case dns, ip, uri, email, issuer, serial, spki, usage
        case databaseUser = "database-user"
        case database

        /// Of PostgreSQL's StartupMessage, not of the certificate.
        package var isOfSession: Bool { self == .databaseUser || self == .database }
    }

    /// Why a rule cannot be used; the configuration adds the place.
    package struct Mistake: Error, Sendable, Equatable, CustomStringConvertible {
        package let key: Key?
        package let value: String?
        package let reason: String

        package var description: String {
            [key?.rawValue, value.map { "\"\($0)\"" }].compactMap { $0 }.joined(separator: " ")
                + (key == nil ? "" : ": ") + reason
        }
    }

    /// What a rule is for: the same `replication:` means a permission in one list, and a condition in the other.
    enum List: String { case allow, deny }

    package let terms: RuleTerms
    package let description: String
    private let clause: RuleClause
    private let replication: RuleTerms.Replication?
    let needsSession: Bool

    package init(_ terms: RuleTerms) throws(Mistake) {
        self.terms = terms
        clause = try RuleClause(terms)
        replication = terms.replication
        needsSession = terms.replication != nil || terms.namesSession
        description = terms.description
    }

    package init(_ values: [Key: [String]]) throws(Mistake) { try self.init(RuleTerms(values)) }

    /// As a rule that allows: replication must be named.
    func allows(_ peer: PeerAttributes) -> Bool { covers(peer.isReplication, in: .allow) && clause.matches(peer) }

    /// As a rule that denies: whatever kind of session it is, unless one is named.
    func matches(_ peer: PeerAttributes) -> Bool { covers(peer.isReplication, in: .deny) && clause.matches(peer) }

    /// Nil if and only if it allows, or denies, the peer.
    func mismatch(with peer: PeerAttributes, in list: List) -> RuleMismatch? {
        if let mismatch = clause.mismatch(with: peer) { return mismatch }
        return covers(peer.isReplication, in: list) ? nil : .replication(isAsked: peer.isReplication)
    }

    private func covers(_ isReplication: Bool, in list: List) -> Bool {
        switch (list, replication) {
        case (.allow, nil), (_, .no): !isReplication
        case (.allow, .yes), (.deny, nil): true
        case (_, .only), (.deny, .yes): isReplication
        }
    }
}
