import OpenSSL

/// Whose clients a listener lets in.
package struct ListenerTrust: Sendable, Equatable {
    /// Whether the anchors of `publish(trust:)` count.
    package var trustsCluster: Bool
    /// Anchors of its own, beside or instead of the cluster's.
    package var anchors: [Certificate]
    /// Where these stand, for people.
    package var files: [Certificate: String]

    package init(trustsCluster: Bool, anchors: [Certificate], files: [Certificate: String] = [:]) {
        self.trustsCluster = trustsCluster
        self.anchors = anchors
        self.files = files
    }
}

/// What is to change of a running proxy in one step. What is not named stays.
package struct ProxyChange: Sendable {
    /// By role.
    package var identities: [String: TLSIdentity] = [:]
    /// By listener.
    package var trust: [String: ListenerTrust] = [:]
    package var policies: [String: AccessPolicy] = [:]
    /// Who certifies the databases of listeners that verify it; by listener.
    package var backendTrust: [String: ListenerTrust] = [:]
    /// As configured; nil: they stay.
    package var limits: ProxyLimits?
    /// Their own; by listener.
    package var listenerLimits: [String: ProxyLimits.PerListener] = [:]

    /// What narrows each listener's rules, by listener; nil: what does so now.
    package var narrowings: [String: PolicyNarrowing]?
    /// Who is refused everywhere, beside the lists in files; nil: they stay.
    package var denied: DenyList?

    package init() {}
}

/// A change whose every listener has passed its test; nothing of it is in effect before `DatabaseProxy.adopt`.
package struct TestedChange: Sendable {
    struct Step: Sendable {
        let listener: ListenerState
        let trust: ListenerTrust
        let policy: AccessPolicy
        /// nil: the one in use stays, or there is none yet.
        let contexts: ListenerContexts?
        let backendTrust: ListenerTrust?
        /// nil: it stays.
        let denied: DenyList?
        let changesStanding: Bool
    }

    /// Of the credentials that it was tested beside.
    let revision: UInt64
    let identities: [String: TLSIdentity]
    let steps: [Step]
    let limits: ProxyLimits?
    let listenerLimits: [String: ProxyLimits.PerListener]

    /// Names of the listeners whose rules are others now.
    package var newPolicies: [String] {
        steps.filter { $0.policy != $0.listener.policy }.map(\.listener.name)
    }

    /// Names of the listeners that trust others to certify their databases now.
    package var newBackendTrust: [String] {
        steps.filter { $0.backendTrust != $0.listener.backendTrust }.map(\.listener.name)
    }

    /// Names of the listeners whose trust is another now.
    package var newTrust: [String] { namesOfNewTrust(ofTunnels: false) }

    /// Names of the tunnels that trust others to certify their remote ends now.
    package var newTunnelTrust: [String] { namesOfNewTrust(ofTunnels: true) }

    private func namesOfNewTrust(ofTunnels isWanted: Bool) -> [String] {
        steps.filter { $0.trust != $0.listener.trust && ($0.listener.configuration.tunnel != nil) == isWanted }
            .map(\.listener.name)
    }
}
