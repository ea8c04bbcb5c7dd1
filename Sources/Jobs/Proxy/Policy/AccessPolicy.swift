import OpenSSL

/// Who may use a listener: a peer that some rule allows and no rule denies. Without rules, nobody.
///
/// Immutable; shared by all lanes. The only maker of `AuthorizedPeer`.
package struct AccessPolicy: Sendable, Equatable {
    package let allow: [AccessRule]
    package let deny: [AccessRule]

    package init(allow: [AccessRule] = [], deny: [AccessRule] = []) {
        self.allow = allow
        self.deny = deny
    }

    package enum Verdict: Sendable {
        case allowed(AuthorizedPeer)
        /// `rule` says which rule denied; nil when none allowed.
        case refused(rule: String?)
    }

    /// `intermediates`: of the verified chain above the peer. A rule that denies an intermediate, by its
    /// issuer and serial or its key, denies what hangs below.
    package func authorize(_ peer: PeerAttributes, intermediates: [PeerAttributes] = []) -> Verdict {
        if let rule = deny.first(where: { rule in rule.matches(peer) || intermediates.contains(where: rule.matches) }) {
            return .refused(rule: rule.description)
        }
        guard let rule = allow.first(where: { $0.matches(peer) }) else { return .refused(rule: nil) }
        return .allowed(AuthorizedPeer(attributes: peer, rule: rule.description))
    }

    /// What a listener with these rules would say of a peer with this chain, leaf first, and this database user.
    package func explain(_ chain: [Certificate], user: String?) -> (isAllowed: Bool, rule: String?) {
        guard let leaf = chain.first else { return (false, nil) }
        var peer = PeerAttributes(leaf)
        peer.databaseUser = user.map { Array($0.utf8) }
        switch authorize(peer, intermediates: chain.dropFirst().map { PeerAttributes($0) }) {
        case .allowed(let peer): return (true, peer.rule)
        case .refused(let rule): return (false, rule)
        }
    }

    var needsDatabaseUser: Bool { (allow + deny).contains(where: \.needsDatabaseUser) }
}

/// Proof that a policy allowed this peer; the relay takes nothing else.
package struct AuthorizedPeer: Sendable {
    package let attributes: PeerAttributes
    /// The rule that allowed it, for the audit log.
    package let rule: String

    fileprivate init(attributes: PeerAttributes, rule: String) {
        self.attributes = attributes
        self.rule = rule
    }
}
