import IO
import OpenSSL
import Reports
import Synchronization

extension DatabaseProxy {
    /// A publication is tested outside of the lock; another one meanwhile has it tested again.
    private static let attempts = 32

    /// New handshakes of the role's listeners use it; live connections keep what they have. An identity that fails
    /// its test is not used, and the health board says so.
    package func publish(identity: TLSIdentity, forRole role: String) {
        credentials.withLock { $0.put([role: identity]) }
        renew { $0.configuration.certificateRoles.contains(role) }
    }

    /// New handshakes are held to it, and live connections are judged again: those that it does not cover are cut.
    package func publish(trust: TrustAnchors) {
        credentials.withLock { $0.put(trust) }
        renew { $0.trust.trustsCluster || $0.backendTrust?.trustsCluster == true }
        for listener in listeners where listener.trust.trustsCluster { review(listener) }
    }

    /// As with trust. Without any, listeners that use the cluster's lists refuse everybody.
    package func publish(revocation: ClusterRevocation) {
        credentials.withLock { $0.put(revocation) }
        let isConcerned = { (listener: ListenerState) in listener.configuration.revocation?.usesCluster == true }
        renew(isConcerned)
        for listener in listeners where isConcerned(listener) { review(listener) }
        revocationReports.looked(at: Timestamp.now.seconds, listeners)
    }

    // MARK: changes in one step

    /// Tries every listener that would be another: nothing is changed by it. Throws all that is wrong.
    package func test(_ change: ProxyChange) throws(ProxyError) -> TestedChange {
        let present = credentials.withLock { $0 }
        var steps: [TestedChange.Step] = []
        var mistakes: [String] = []
        for listener in listeners {
            do throws(OpenSSLError) {
                if let step = try step(of: change, listener, present) { steps.append(step) }
            } catch {
                let roles = listener.configuration.certificateRoles.joined(separator: ", ")
                mistakes.append("\(listener.subject): the certificate of role \(roles) failed its test: \(error)")
            }
        }
        guard mistakes.isEmpty else { throw ProxyError(description: mistakes.joined(separator: "\n")) }
        return TestedChange(
            revision: present.revision, identities: change.identities, steps: steps, limits: change.limits,
            listenerLimits: change.listenerLimits)
    }

    private func step(
        of change: ProxyChange, _ listener: ListenerState, _ present: Credentials
    ) throws(OpenSSLError) -> TestedChange.Step? {
        let roles = listener.configuration.certificateRoles
        let trust = change.trust[listener.name] ?? listener.trust
        let narrowing = change.narrowings.map { $0[listener.name] ?? PolicyNarrowing() } ?? listener.policy.narrowing
        let policy = (change.policies[listener.name] ?? listener.policy).narrowed(by: narrowing)
        let isOtherTrust = trust != listener.trust
        let isOtherPolicy = policy != listener.policy
        let denied = change.denied.flatMap { $0 === listener.denied ? nil : $0 }
        let backendTrust = listener.backendTrust.map { change.backendTrust[listener.name] ?? $0 }
        let needsContexts =
            isOtherTrust || backendTrust != listener.backendTrust || roles.contains { change.identities[$0] != nil }
        guard needsContexts || isOtherPolicy || denied != nil else { return nil }
        var contexts: ListenerContexts?
        if needsContexts {
            var credentials = present
            credentials.put(change.identities)
            contexts = try self.contexts(listener, trust, backendTrust, credentials)
        }
        return TestedChange.Step(
            listener: listener, trust: trust, policy: policy, contexts: contexts, backendTrust: backendTrust,
            denied: denied, changesStanding: isOtherTrust || isOtherPolicy || denied != nil)
    }

    /// Puts all of it into effect: each listener in one step, live connections keep what they have and are judged again
    /// where trust or rules are new. False, and nothing is changed, if something else was published since the test.
    package func adopt(_ change: TestedChange) -> Bool {
        let isAdopted = credentials.withLock { credentials in
            guard credentials.revision == change.revision else { return false }
            credentials.put(change.identities)
            for step in change.steps { step.listener.adopt(step) }
            return true
        }
        guard isAdopted else { return false }
        if let limits = change.limits { take(limits, ofListeners: change.listenerLimits) }
        for step in change.steps {
            if step.changesStanding { review(step.listener) }
            guard step.contexts != nil else { continue }
            reloads.good.add()
            health.clear("LISTENER_CERTIFICATE_REFUSED", subject: step.listener.subject)
        }
        publishStatus()
        return true
    }

    /// Returns when every live connection has been judged under what was published before the call.
    package func reviewed() async {
        for relay in relays { await relay.reviewed() }
        publishStatus()
    }

    func review(_ listener: ListenerState) {
        for relay in relays { relay.submit { $0.floor.review(listener) } }
    }

    func renew(_ isConcerned: (ListenerState) -> Bool) {
        for listener in listeners where isConcerned(listener) {
            let subject = listener.subject
            do throws(OpenSSLError) {
                guard try renew(listener) else { continue }
                reloads.good.add()
                health.clear("LISTENER_CERTIFICATE_REFUSED", subject: subject)
            } catch {
                reloads.bad.add()
                health.raise(
                    HealthReason(
                        "LISTENER_CERTIFICATE_REFUSED", .error, subject: subject,
                        detail: "the new certificate or trust failed its test and is not used: \(error)",
                        action: "look at the certificate of role "
                            + listener.configuration.certificateRoles.joined(separator: ", ")
                            + "; the one before stays in use"))
            }
        }
        publishStatus()
    }

    /// False while something that it needs is not there yet.
    private func renew(_ listener: ListenerState) throws(OpenSSLError) -> Bool {
        for _ in 0..<Self.attempts {
            let present = credentials.withLock { $0 }
            guard let contexts = try contexts(listener, listener.trust, listener.backendTrust, present) else {
                return false
            }
            let isLatest = credentials.withLock { credentials in
                guard credentials.revision == present.revision else { return false }
                listener.adopt(contexts)
                return true
            }
            if isLatest { return true }
        }
        throw OpenSSLError("publish a certificate", "others were published \(Self.attempts) times meanwhile")
    }

    /// nil while its first certificate or the trust that it needs is not there yet, or what it has revoked.
    private func contexts(
        _ state: ListenerState, _ wanted: ListenerTrust, _ ofBackend: ListenerTrust?, _ credentials: Credentials
    ) throws(OpenSSLError) -> ListenerContexts? {
        let listener = state.configuration
        let (identities, cluster) = (credentials.identities, credentials.trust)
        guard let identity = identities[listener.certificateRole], let all = Self.anchors(wanted, cluster) else {
            return nil
        }
        var revocation: Revocation?
        if let wanted = listener.revocation {
            guard let lists = files.lists(of: wanted.files) else { return nil }
            let ofCluster = wanted.usesCluster ? credentials.revocation : nil
            if wanted.usesCluster, ofCluster == nil { return nil }
            revocation = Revocation(
                lists + (ofCluster?.lists ?? []), wanted.rules, signers: ofCluster?.signers ?? [])
        }
        let trust = try TrustAnchors(
            all, pinsIntermediates: all.contains { !$0.isSelfSigned }, revocation: revocation)
        if let tunnel = listener.tunnel {
            let remote = try BackendSecurity(
                tunnel, identity, trust: trust, minimum: listener.minimumTLS,
                protocols: listener.databaseProtocol.applicationProtocols)
            return ListenerContexts(server: nil, anchors: trust, backend: remote)
        }
        let others = listener.otherCertificateRoles.compactMap { identities[$0] }
        let context = try TLSContext.server(
            identity: identity, others: others, refusesUnknownNames: listener.refusesUnknownNames, trust: trust,
            minimum: listener.minimumTLS, applicationProtocols: listener.databaseProtocol.applicationProtocols,
            algorithms: configuration.algorithms, ticketKeys: state.ticketKeys)
        try Self.test(context, [identity] + others)
        guard let backendTLS = listener.backendTLS else {
            return ListenerContexts(server: context, anchors: trust, backend: nil)
        }
        guard let certifiers = Self.anchors(ofBackend ?? backendTLS.trust, cluster) else { return nil }
        let backend = try BackendSecurity(
            backendTLS, identity,
            trust: certifiers.isEmpty ? nil : try TrustAnchors(certifiers, pinsIntermediates: true),
            protocols: listener.databaseProtocol.applicationProtocols)
        return ListenerContexts(server: context, anchors: trust, backend: backend)
    }

    /// Each under the authority that came with it: whom clients are certified by may be somebody else. Beside the
    /// first, each by a name under which it is shown; one without such a name is shown to nobody.
    private static func test(_ context: TLSContext, _ identities: [TLSIdentity]) throws(OpenSSLError) {
        for (index, (identity, (_, names))) in zip(identities, context.shown).enumerated() {
            guard let own = identity.chain.last(where: \.isAuthority), index == 0 || !names.isEmpty else { continue }
            // Its key has signed when its certificate came. Here a token that hangs would keep a revocation waiting.
            if identity.key.holder != nil { continue }
            let name = index == 0 ? nil : names[0].replacing(/^\*/, with: "www")
            try TLSContext.selfTest(
                context, trust: try TrustAnchors([own], pinsIntermediates: true), serverName: name)
        }
    }

    /// nil while the cluster's are wanted and not there yet.
    private static func anchors(_ wanted: ListenerTrust, _ cluster: TrustAnchors?) -> [Certificate]? {
        let ofCluster = wanted.trustsCluster ? cluster?.certificates ?? [] : []
        if wanted.trustsCluster, ofCluster.isEmpty { return nil }
        return ofCluster + wanted.anchors.filter { !ofCluster.contains($0) }
    }
}
