import OpenSSL

/// What a listener's rules would say of a peer, rule by rule.
package struct PolicyExplanation: Sendable {
    package struct Line: Sendable {
        /// "allow[0]"
        package let rule: String
        package let terms: String
        /// nil: the rule matches.
        package let mismatch: RuleMismatch?
        /// By it the peer is allowed or denied.
        package let decides: Bool
    }

    /// Those that deny first, as they are asked.
    package let lines: [Line]
    /// The rule that allows or denies it.
    package let rule: String?
    /// nil: it is allowed.
    package let objection: Objection?
    /// Whether the map has the database user; nil: there is no map, or no rule allowed it.
    package let isMapped: Bool?
}

extension AccessPolicy {
    /// Of a peer with this chain, leaf first, that asks for this session; whether the chain is trusted is not asked.
    package func explain(_ chain: [Certificate], session: SessionRequest?) -> PolicyExplanation? {
        guard let leaf = chain.first else { return nil }
        var peer = PeerAttributes(leaf)
        peer.session = session
        let above = chain.dropFirst().map { PeerAttributes($0) }
        let verdict = judge(peer, above)
        let (rule, objection): (String?, Objection?) =
            switch verdict {
            case .success(let rule): (rule, nil)
            case .failure(let objection): (objection.rule, objection)
            }
        var lines: [PolicyExplanation.Line] = []
        for (list, rules) in [(AccessRule.List.deny, deny), (.allow, allow)] {
            for (index, one) in rules.enumerated() {
                let isMatch = list == .deny && denies(one, peer, above)
                lines.append(
                    .init(
                        rule: "\(list.rawValue)[\(index)]", terms: one.description,
                        mismatch: isMatch ? nil : one.mismatch(with: peer, in: list),
                        decides: rule == Self.name(list, index, one)))
            }
        }
        for (index, one) in narrowing.deny.enumerated() {
            let name = Self.desired + Self.name(.deny, index, one)
            lines.append(
                .init(
                    rule: "\(Self.desired)deny[\(index)]", terms: one.description,
                    mismatch: denies(one, peer, above) ? nil : one.mismatch(with: peer, in: .deny),
                    decides: rule == name))
        }
        let isAllowedByRule = lines.contains { $0.mismatch == nil && $0.rule.hasPrefix("allow") }
        return PolicyExplanation(
            lines: lines, rule: rule, objection: objection,
            isMapped: isAllowedByRule ? users.map { $0.allows(peer) } : nil)
    }
}
