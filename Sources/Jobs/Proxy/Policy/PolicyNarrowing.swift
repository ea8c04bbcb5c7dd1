/// What takes away from a listener's rules, and never adds to them: told from elsewhere, while the rules are the
/// node's own.
package struct PolicyNarrowing: Sendable, Equatable {
    /// Of each list some rule must allow whom the listener's own rules allow.
    package let allow: [[AccessRule]]
    /// Beside the listener's own.
    package let deny: [AccessRule]
    /// Nobody may pass, in a dry run neither.
    private(set) var isClosed = false

    package init(allow: [[AccessRule]] = [], deny: [AccessRule] = []) {
        self.allow = allow
        self.deny = deny
    }

    package static let closed: PolicyNarrowing = {
        var closed = PolicyNarrowing()
        closed.isClosed = true
        return closed
    }()

    /// All of its rules, to be looked through for what they need.
    var rules: [AccessRule] { allow.flatMap { $0 } + deny }

    func leaves(_ peer: PeerAttributes) -> Bool {
        !isClosed && allow.allSatisfy { list in list.contains { $0.allows(peer) } }
    }
}

extension AccessPolicy {
    /// The same rules, narrowed by this and by nothing else.
    package func narrowed(by narrowing: PolicyNarrowing) -> AccessPolicy {
        AccessPolicy(allow: allow, deny: deny, users: users, mode: mode, narrowing: narrowing)
    }
}
