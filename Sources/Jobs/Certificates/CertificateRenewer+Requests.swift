import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports
import Tokens

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
    ///
    /// `recovers`: a renewal of an identity that has expired, and is not shown any more.
    func request(_ certificate: ManagedCertificate, isRenewal: Bool, recovers: Bool = false) async {
        let attempt = certificate.isNode && !isRenewal ? joining : nil
        do throws(CertificateProblem) {
            try storing { () throws(StoreError) in try certificate.store.folder.preflight() }
            if isRenewal || !certificate.isNode {
                await applyCredentials()
                await refreshTrust()
            }
            guard let plan = plan(for: certificate, isRenewal: isRenewal) else {
                return certificate.machine.credentialsLost()
            }
            let draft = try await draft(for: plan, certificate)
            let issued =
                recovers
                ? try await sendProof(draft, label: plan.label, plan.trust.membership)
                : try await send(draft, plan, isNode: certificate.isNode)
            recordIssuance(certificate)
            guard let identity = try await check(issued, plan, draft, certificate) else { return }
            try await publish(identity, plan, certificate)
            if recovers { noteRecovery() }
        } catch {
            await failed(certificate, error, of: attempt)
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
                renewed: nil, joining: joining, purpose: "join \(joining.digest) \(certificate.key.purpose)")
        }
        guard let trust, let wish = wish(for: certificate) else { return nil }
        let current = certificate.stored?.identity.leaf
        return RequestPlan(
            wish: wish, label: label(of: certificate, cluster: trust.membership.cluster), trust: trust,
            hints: hints, renewed: certificate.isNode ? current : nil, joining: nil,
            purpose: "after \(current?.serial ?? "none") \(certificate.key.purpose) \(wish)")
    }

    /// Whether what the server was asked last is what would be asked now.
    func isDraftWanted(of certificate: ManagedCertificate) -> Bool {
        // The node identity has one name, and who joins asks with his bundle.
        if certificate.isNode { return true }
        guard let plan = plan(for: certificate, isRenewal: true) else { return true }
        return certificate.store.draft.isFor(plan.purpose)
    }

    /// Key and request are on the disk before they are sent. One that is there already was made as the server wished;
    /// one that it refused is made anew when it wishes for something else now.
    private func draft(
        for plan: RequestPlan, _ certificate: ManagedCertificate
    ) async throws(CertificateProblem) -> CertificateDraft {
        let known = certificate.store.draft.existing(for: plan.purpose)
        if let known, certificate.lastProblem?.failure != .request { return known }
        let wishes = try await wishes(plan.label, certificate)
        if let known, certificate.wishes == wishes { return known }
        certificate.wishes = wishes
        await discardDraft(of: certificate)
        let key = try await makeKey(wishes.keyKind, for: certificate)
        let draft: CertificateDraft
        do throws(OpenSSLError) {
            // Byte by byte what the identity says now (RFC 7030 §4.2.2).
            let request =
                if let renewed = plan.renewed {
                    try SigningRequest.renewing(renewed, key: key, details: wishes.details)
                } else {
                    try plan.wish.request(key: key, details: wishes.details)
                }
            draft = CertificateDraft(key: key, request: request)
        } catch {
            throw key.holder == nil ? CertificateProblem(StoreError(error)) : .keyStore(key.place, error.description)
        }
        try storing { () throws(StoreError) in try certificate.store.draft.write(draft, for: plan.purpose) }
        return draft
    }

    /// What the server wishes to find in a request; one that demands what we cannot give gets none.
    private func wishes(
        _ label: String, _ certificate: ManagedCertificate
    ) async throws(CertificateProblem) -> RequestWishes {
        let kind = certificate.key.kind
        guard let plane else { throw .unmet("there is no management plane") }
        let wishes = try await answer(.identity) { () async throws(PlaneError) in
            try await plane.wishes(label: label, keyKind: kind)
        }
        reports.unmet(wishes.unmet, role: certificate.role)
        guard !wishes.demandsChannelBinding else {
            throw .unmet(
                "the EST server demands a challengePassword at the label \(label), bound to the connection by "
                    + "tls-unique (RFC 7030, section 3.5), which TLS 1.3 does not have; no request was sent")
        }
        return wishes
    }

    /// Counted before anything is decided about it: one that is refused, or cannot be stored, cost the authority as
    /// much.
    private func recordIssuance(_ certificate: ManagedCertificate) {
        certificate.machine.certificateIssued(at: now)
        do throws(StoreError) {
            try ledger.record(certificate.machine.issuances, of: certificate.role)
            reports.clear(subject: IssuanceLedger.name)
        } catch {
            reports.notWritten(error, what: IssuanceLedger.name)
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

    /// nil: the job is to end. A certificate of a clock that is a little ahead is good soon, and then used: asked for
    /// again, it would be as early again.
    private func check(
        _ issued: [Certificate], _ plan: RequestPlan, _ draft: CertificateDraft, _ certificate: ManagedCertificate
    ) async throws(CertificateProblem) -> TLSIdentity? {
        while !isEnding {
            let check = IssuedCertificateCheck(plan.wish, key: draft.key, trust: plan.trust.anchors, now: seconds)
            switch check.judge(issued + plan.hints) {
            case .refused(let reason): throw .unusableCertificate(reason)
            case .notYetValid(let ahead) where ahead > IssuedCertificateCheck.skewLimit:
                reports.clockCompared(difference: -ahead)
                throw .skewed(.unusableCertificate("it is valid only in \(ahead) s"), by: -ahead)
            case .notYetValid(let ahead): _ = await certificate.alarm.wait(untilUnixSeconds: Double(seconds + ahead))
            case .accepted(let identity):
                do {
                    try IdentityTest.run(identity, wish: plan.wish, trust: plan.trust.anchors)
                    return identity
                } catch {
                    throw .unusableCertificate("\(error)")
                }
            }
        }
        return nil
    }

    /// Trust first: an identity without the authorities that it belongs to is of no use after a crash.
    private func publish(
        _ identity: TLSIdentity, _ plan: RequestPlan, _ certificate: ManagedCertificate
    ) async throws(CertificateProblem) {
        let isFirst = certificate.stored == nil
        // A role that was under way at the same time may have added to it.
        let base = plan.joining == nil ? trust ?? plan.trust : plan.trust
        try extendTrust(base, isNew: plan.joining != nil, verifiedChain: identity.chain)
        // Who joins while the root is changed trusts from the beginning whom the others trust.
        if let offered = plan.joining?.offered, let trust { try followRoots(of: trust, offered: offered) }
        let digest = plan.joining?.digest ?? certificate.stored?.joinedWith
        let stored = try storing { () throws(StoreError) in
            try certificate.store.publish(identity, joinedWith: digest)
        }
        certificate.store.draft.discard()
        await destroyRetiredKeys(of: certificate)
        certificate.lastProblem = nil
        reports.planeAnswered()
        trustMachine.planeTrusted()
        reports.clear(role: certificate.role)
        reports.issued(identity.leaf, role: certificate.role, isFirst: isFirst)
        take(stored, for: certificate, isNew: true)
        if let joining = plan.joining {
            // Another bundle that came meanwhile is not spent.
            if self.joining?.digest == joining.digest { self.joining = nil }
            consume(joining.digest)
            beginRecoveryAnew()
        }
        await applyCredentials()
    }
}
