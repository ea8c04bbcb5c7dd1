import IO
import OpenSSL
import Reports
import Synchronization

extension DatabaseProxy {
    /// New handshakes of the role's listeners use it; live connections keep what they have. An identity that fails
    /// its test is not used, and the health board says so.
    package func publish(identity: TLSIdentity, forRole role: String) {
        credentials.withLock { $0.identities[role] = identity }
        renew { $0.configuration.certificateRole == role }
    }

    /// New handshakes are held to it, and live connections are judged again: those that it does not cover are cut.
    package func publish(trust: TrustAnchors) {
        credentials.withLock { $0.trust = trust }
        renew { $0.configuration.trustsCluster }
        for listener in listeners where listener.configuration.trustsCluster { review(listener) }
    }

    /// New rules by the names of their listeners; names that nobody has are left alone. Live connections are judged
    /// again: those that the new rules do not allow are cut. Returns the listeners whose rules are others now.
    @discardableResult
    package func publish(policies: [String: AccessPolicy]) -> [String] {
        let changed = listeners.filter { listener in policies[listener.name].map(listener.adopt) ?? false }
        for listener in changed { review(listener) }
        publishStatus()
        return changed.map(\.name)
    }

    private func review(_ listener: ListenerState) {
        for relay in relays { relay.submit { $0.floor.review(listener) } }
    }

    private func renew(_ isConcerned: (ListenerState) -> Bool) {
        for listener in listeners where isConcerned(listener) {
            let (identity, trust) = credentials.withLock {
                ($0.identities[listener.configuration.certificateRole], $0.trust)
            }
            guard let identity else { continue }
            let subject = "listener \(listener.name)"
            do throws(OpenSSLError) {
                guard let (context, trust) = try context(listener.configuration, identity, trust) else { continue }
                listener.adopt(context, trust)
                reloads.good.add()
                health.clear("LISTENER_CERTIFICATE_REFUSED", subject: subject)
            } catch {
                reloads.bad.add()
                health.raise(
                    HealthReason(
                        "LISTENER_CERTIFICATE_REFUSED", .error, subject: subject,
                        detail: "the new certificate or trust failed its test and is not used: \(error)",
                        action: "look at the certificate of role \(listener.configuration.certificateRole); "
                            + "the one before stays in use"))
            }
        }
        publishStatus()
    }

    /// nil while the trust that it needs is not there yet.
    private func context(
        _ listener: ListenerConfiguration, _ identity: TLSIdentity, _ cluster: TrustAnchors?
    ) throws(OpenSSLError) -> (TLSContext, TrustAnchors)? {
        let ofCluster = listener.trustsCluster ? cluster?.certificates ?? [] : []
        if listener.trustsCluster, ofCluster.isEmpty { return nil }
        let all = ofCluster + listener.anchors.filter { !ofCluster.contains($0) }
        let trust = try TrustAnchors(all, pinsIntermediates: all.contains { !$0.isSelfSigned })
        let context = try TLSContext.server(
            identity: identity, trust: trust, minimum: listener.minimumTLS,
            applicationProtocols: listener.databaseProtocol.applicationProtocols, algorithms: configuration.algorithms)
        // Under the authority that came with it: whom clients are certified by may be somebody else.
        if let own = identity.chain.last(where: \.isAuthority) {
            try TLSContext.selfTest(context, trust: try TrustAnchors([own], pinsIntermediates: true))
        }
        return (context, trust)
    }
}
