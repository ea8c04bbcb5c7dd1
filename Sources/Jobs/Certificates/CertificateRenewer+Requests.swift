import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

/// One request for one certificate, decided before anything is sent.
private struct RequestPlan {
    let wish: CertificateWish
    let label: String
    let trust: StoredTrust
    let hints: [Certificate]
    /// The certificate to be renewed under itself.
    let renewed: Certificate?
    /// The first join.
    let joining: Joining?
    /// A draft on the disk is sent again only for exactly this.
    let purpose: String
}

extension CertificateRenewer {
    /// Asks for the certificate, checks the answer, puts it on the disk and into service.
    func request(_ certificate: ManagedCertificate, isRenewal: Bool) async {
        do throws(CertificateProblem) {
            try storing { () throws(StoreError) in try certificate.store.folder.preflight() }
            if isRenewal || !certificate.isNode {
                await applyCredentials()
                await refreshTrust()
            }
            guard let plan = plan(for: certificate, isRenewal: isRenewal) else {
                return certificate.machine.credentialsLost()
            }
            let draft = try draft(for: plan, certificate)
            let issued = try await send(draft, plan, isNode: certificate.isNode)
            let identity = try check(issued, plan, draft)
            try await publish(identity, plan, certificate)
        } catch {
            await failed(certificate, error)
        }
    }

    private func plan(for certificate: ManagedCertificate, isRenewal: Bool) -> RequestPlan? {
        if certificate.isNode, !isRenewal {
            guard let joining, let anchors = joining.anchors,
                let wish = wish(for: certificate, cluster: joining.bundle.cluster)
            else { return nil }
            return RequestPlan(
                wish: wish, label: label(of: certificate, cluster: joining.bundle.cluster),
                trust: StoredTrust(anchors: anchors, membership: joining.membership), hints: joining.hints,
                renewed: nil, joining: joining, purpose: "join \(joining.digest) \(configuration.keyKind.rawValue)")
        }
        guard let trust, let wish = wish(for: certificate) else { return nil }
        let current = certificate.stored?.identity.leaf
        return RequestPlan(
            wish: wish, label: label(of: certificate, cluster: trust.membership.cluster), trust: trust,
            hints: hints, renewed: certificate.isNode ? current : nil, joining: nil,
            purpose: "after \(current?.serial ?? "none") \(configuration.keyKind.rawValue) \(wish)")
    }

    /// Key and request are on the disk before they are sent.
    private func draft(
        for plan: RequestPlan, _ certificate: ManagedCertificate
    ) throws(CertificateProblem) -> CertificateDraft {
        let kind = configuration.keyKind
        return try storing { () throws(StoreError) in
            try certificate.store.draft.take(purpose: plan.purpose) { () throws(OpenSSLError) in
                let key = try PrivateKey.generate(kind)
                // Byte by byte what the identity says now (RFC 7030 §4.2.2).
                let request =
                    if let renewed = plan.renewed {
                        try SigningRequest.renewing(renewed, key: key)
                    } else {
                        try plan.wish.request(key: key)
                    }
                return CertificateDraft(key: key, request: request)
            }
        }
    }

    private func send(
        _ draft: CertificateDraft, _ plan: RequestPlan, isNode: Bool
    ) async throws(CertificateProblem) -> [Certificate] {
        guard let plane else { return [] }
        guard let joining = plan.joining else {
            return try await answer(.identity) { () async throws(PlaneError) in
                isNode
                    ? try await plane.reenroll(label: plan.label, request: draft.request)
                    : try await plane.enroll(label: plan.label, request: draft.request, token: nil)
            }
        }
        let token = joining.offer.token
        do throws(CertificateProblem) {
            return try await answer(.token) { () async throws(PlaneError) in
                try await plane.enroll(label: plan.label, request: draft.request, token: token)
            }
        } catch {
            // A server may repeat in its refusal what it was sent.
            var problem = error
            problem.detail = problem.detail.hiding(token)
            throw problem
        }
    }

    private func check(
        _ issued: [Certificate], _ plan: RequestPlan, _ draft: CertificateDraft
    ) throws(CertificateProblem) -> TLSIdentity {
        let check = IssuedCertificateCheck(plan.wish, key: draft.key, trust: plan.trust.anchors, now: seconds)
        switch check.judge(issued + plan.hints) {
        case .refused(let reason): throw .unusableCertificate(reason)
        case .notYetValid(let ahead):
            if ahead > IssuedCertificateCheck.skewLimit { reports.clockCompared(difference: -ahead) }
            var problem = CertificateProblem.unusableCertificate("it is valid only in \(ahead) s by this node's clock")
            problem.retryAfter = Double(min(ahead, 60))
            throw problem
        case .accepted(let identity):
            do {
                try IdentityTest.run(identity, wish: plan.wish, trust: plan.trust.anchors)
                return identity
            } catch {
                throw .unusableCertificate("\(error)")
            }
        }
    }

    /// Trust first: an identity without the authorities that it belongs to is of no use after a crash.
    private func publish(
        _ identity: TLSIdentity, _ plan: RequestPlan, _ certificate: ManagedCertificate
    ) async throws(CertificateProblem) {
        let isFirst = certificate.stored == nil
        // A role that was under way at the same time may have added to it.
        let base = plan.joining == nil ? trust ?? plan.trust : plan.trust
        try extendTrust(base, isNew: plan.joining != nil, verifiedChain: identity.chain)
        let digest = plan.joining?.digest ?? certificate.stored?.joinedWith
        let stored = try storing { () throws(StoreError) in
            try certificate.store.publish(identity, joinedWith: digest)
        }
        certificate.store.draft.discard()
        certificate.lastError = nil
        reports.planeAnswered()
        reports.clear(role: certificate.role)
        reports.issued(identity.leaf, role: certificate.role, isFirst: isFirst)
        take(stored, for: certificate, isNew: true)
        if let joining = plan.joining {
            // Another bundle that came meanwhile is not spent.
            if self.joining?.digest == joining.digest { self.joining = nil }
            consume(joining.digest)
        }
        await applyCredentials()
    }

    // MARK: trust

    func replaceTrust(_ new: StoredTrust) throws(CertificateProblem) {
        try storing { () throws(StoreError) in try trustStore.publish(new) }
        let isNewMember = trust?.membership != new.membership
        trust = new
        if isNewMember { receiver.membership(new.membership) }
        receiver.trust(new.anchors)
        reports.trustChanged(new.anchors)
    }

    /// Asks a verified plane for its authorities; a new root with a pinned key is trusted before it is needed.
    func refreshTrust() async {
        guard let plane, let node, let current = trust, now - trustRefreshed > 60 else { return }
        trustRefreshed = now
        let label = label(of: node, cluster: current.membership.cluster)
        do {
            let fetched = try await plane.authorities(label: label)
            reports.planeAnswered()
            compareClock(fetched.serverTime)
            hints = PlaneTrust.hints(among: fetched.certificates)
            await takeRoots(PlaneTrust.pinnedRoots(among: fetched.certificates, pins: current.membership.pins))
        } catch {
            // The request that follows meets the same, and reports it.
        }
    }

    private func takeRoots(_ roots: [Certificate]) async {
        guard let current = trust else { return }
        do throws(CertificateProblem) {
            try extendTrust(current, roots: roots)
            await applyCredentials()
        } catch {
            reports.failed(error, role: RoleConfiguration.node)
        }
    }

    private func extendTrust(
        _ current: StoredTrust, isNew: Bool = false, roots: [Certificate] = [], verifiedChain: [Certificate] = []
    ) throws(CertificateProblem) {
        let all = PlaneTrust.extended(
            current.anchors.certificates, roots: roots, verifiedChain: verifiedChain, now: seconds)
        guard isNew || Set(all) != Set(current.anchors.certificates) else { return }
        try replaceTrust(StoredTrust(anchors: try anchors(all), membership: current.membership))
    }

    // MARK: failures

    func failed(_ certificate: ManagedCertificate, _ problem: CertificateProblem) async {
        let random = Double.random(in: 0..<1)
        certificate.lastError = problem.detail
        if problem.isPending {
            return certificate.machine.requestDeferred(by: problem.retryAfter ?? 300, random: random, at: now)
        }
        certificate.machine.requestFailed(
            problem.failure, retryAfter: problem.retryAfter, random: random, at: now)
        // The request itself was wrong: the next one is made anew.
        if problem.failure == .request { certificate.store.draft.discard() }
        reports.failed(problem, role: certificate.role)
        if problem.failure == .untrusted { await lookForCause() } else { untrustedSince = nil }
    }

    /// A plane that is not trusted may be another one, our clock may be wrong, or its root was renewed with the same
    /// key.
    private func lookForCause() async {
        guard let plane, let node, let pins = trust?.membership.pins ?? joining?.bundle.pins,
            let cluster = trust?.membership.cluster ?? joining?.bundle.cluster
        else { return }
        let since = untrustedSince ?? now
        untrustedSince = since
        let roots = try? await pinnedRoots(of: plane, label: label(of: node, cluster: cluster), pins: pins)
        if let roots, trust != nil, now - since > 600 { await takeRoots(roots) }
    }

    func answer<Value: Sendable>(
        _ credential: CertificateProblem.Credential, _ call: () async throws(PlaneError) -> Value
    ) async throws(CertificateProblem) -> Value {
        do throws(PlaneError) {
            return try await call()
        } catch {
            throw CertificateProblem(error, shown: credential)
        }
    }

    private func storing<Value>(_ body: () throws(StoreError) -> Value) throws(CertificateProblem) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            throw CertificateProblem(error)
        }
    }
}
