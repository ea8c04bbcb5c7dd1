import OpenSSL

/// Who may use a listener: a peer that some rule allows and no rule denies. Without rules, nobody.
///
/// Immutable; shared by all lanes. The only maker of `AuthorizedPeer`.
package struct AccessPolicy: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        case enforce
        /// Tells what it would refuse, and lets it pass: for rules that are new. Of TLS it loosens nothing.
        case dryRun = "dry-run"
    }

    package let allow: [AccessRule]
    package let deny: [AccessRule]
    /// Whoever the rules allow must also be mapped to the database user; nil: there is no map.
    package let users: DatabaseUserMap?
    package let mode: Mode
    /// What the desired state takes away; nothing without one.
    package let narrowing: PolicyNarrowing
    /// Whether it asks for what only PostgreSQL's clients say before the policy decides.
    let namesSession: Bool

    package init(
        allow: [AccessRule] = [], deny: [AccessRule] = [], users: DatabaseUserMap? = nil, mode: Mode = .enforce,
        narrowing: PolicyNarrowing = PolicyNarrowing()
    ) {
        self.allow = allow
        self.deny = deny
        self.users = users
        self.mode = mode
        self.narrowing = narrowing
        namesSession = users != nil || (allow + deny + narrowing.rules).contains(where: \.needsSession)
    }

    package enum Verdict: Sendable {
        case allowed(AuthorizedPeer)
        case refused(Objection)
    }

    /// `intermediates`: of the verified chain above the peer. A rule that denies an intermediate, by its
    /// issuer and serial or its key, denies what hangs below.
    package func authorize(_ peer: PeerAttributes, intermediates: [PeerAttributes] = []) -> Verdict {
        switch judge(peer, intermediates) {
        case .success(let rule): .allowed(AuthorizedPeer(attributes: peer, rule: rule, tolerated: nil))
        case .failure(let objection) where mode == .dryRun && !narrowing.isClosed:
            .allowed(AuthorizedPeer(attributes: peer, rule: "dry-run", tolerated: objection))
        case .failure(let objection): .refused(objection)
        }
    }

    /// The rule that allows it, by its list and index and in its words.
    func judge(_ peer: PeerAttributes, _ intermediates: [PeerAttributes]) -> Result<String, Objection> {
        for (index, rule) in deny.enumerated() where denies(rule, peer, intermediates) {
            return .failure(.denied(rule: Self.name(.deny, index, rule)))
        }
        for (index, rule) in narrowing.deny.enumerated() where denies(rule, peer, intermediates) {
            return .failure(.denied(rule: Self.desired + Self.name(.deny, index, rule)))
        }
        if namesSession, let ambiguity = peer.session?.ambiguity { return .failure(ambiguity) }
        guard let index = allow.firstIndex(where: { $0.allows(peer) }) else {
            let objections = allow.lazy.compactMap { $0.mismatch(with: peer, in: .allow)?.objection }
            return .failure(objections.first ?? .noRule)
        }
        if let users, !users.allows(peer) { return .failure(.user) }
        guard narrowing.leaves(peer) else { return .failure(.narrowed) }
        return .success(Self.name(.allow, index, allow[index]))
    }

    func denies(_ rule: AccessRule, _ peer: PeerAttributes, _ intermediates: [PeerAttributes]) -> Bool {
        rule.matches(peer)
            || intermediates.contains { certificate in
                var certificate = certificate
                certificate.session = peer.session
                return rule.matches(certificate)
            }
    }

    /// Before the name of a rule that is not the listener's own.
    static let desired = "desired "

    /// "allow[0] {common-name: shop}"; counted from 0, as in paths of JSON and YAML.
    static func name(_ list: AccessRule.List, _ index: Int, _ rule: AccessRule) -> String {
        "\(list.rawValue)[\(index)] {\(rule)}"
    }
}

/// Why a policy does not let a peer pass.
package enum Objection: Error, Sendable, Equatable {
    case denied(rule: String)
    case noRule
    /// The certificate would do, but not with this of the session.
    case user, database, replication
    /// The listener's own rules would allow it, and the desired state does not.
    case narrowed

    package var rule: String? { if case .denied(let rule) = self { rule } else { nil } }
}

/// Proof that a policy let this peer pass; the relay takes nothing else.
package struct AuthorizedPeer: Sendable {
    package let attributes: PeerAttributes
    /// The rule that allowed it, for the audit log.
    package let rule: String
    /// Why it would have been refused, had the policy not been in its dry run.
    package let tolerated: Objection?

    fileprivate init(attributes: PeerAttributes, rule: String, tolerated: Objection?) {
        self.attributes = attributes
        self.rule = rule
        self.tolerated = tolerated
    }
}
