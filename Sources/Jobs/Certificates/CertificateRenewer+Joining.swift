import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

/// A join bundle, and the plane's authorities once their root has matched its pin.
struct Joining: Sendable {
    let offer: JoinOffer
    /// Of its token.
    let digest: String
    var anchors: TrustAnchors?
    var hints: [Certificate] = []
    /// All that the plane hands out.
    var offered: [Certificate] = []

    var bundle: JoinBundle { offer.bundle }

    var membership: Membership {
        Membership(url: bundle.url, cluster: bundle.cluster, node: bundle.node, pins: bundle.pins)
    }
}

/// What the plane's client works with; compared before it is given new connections.
struct AppliedCredentials: Equatable {
    let trust: ObjectIdentifier
    let identity: Certificate?
}

extension CertificateRenewer {
    // MARK: the bundle

    /// Looks whether the bundle came, went or changed.
    func lookForBundle() {
        guard let joinSource, let node else { return }
        switch joinSource.look(joinedWith: node.stored?.joinedWith) {
        case .absent:
            forgetBundle(node)
            let helpsItself = node.machine.mayRecover && node.machine.phase(at: now) != .locked
            if node.isValid(at: now) || helpsItself { reports.clear(subject: "join") } else { missesBundle() }
        case .spent:
            forgetBundle(node)
            if let digest = node.stored?.joinedWith, node.isValid(at: now) { consume(digest) } else { missesBundle() }
        case .unreadable(let reason):
            forgetBundle(node)
            raise(
                "JOIN_BUNDLE_UNREADABLE", "\(joinSource.path): \(reason)",
                action: "give the bundle to nodeguard join, or make a new one with nodeguard-plane token create")
        case .offer(let offer):
            if joining?.offer == offer { return }
            if let mismatch = mismatch(of: offer.bundle) {
                forgetBundle(node)
                return raise(
                    "JOIN_BUNDLE_MISMATCH", mismatch,
                    action: "make a bundle for this node, or correct node: name and cluster in the configuration")
            }
            reports.clear(subject: "join")
            // What an earlier bundle could not do says nothing about this one.
            reports.clear(role: node.role)
            joining = Joining(offer: offer, digest: JoinSource.digest(offer))
            let refusals = ledger.refusals(ofToken: JoinSource.digest(offer))
            node.machine.credentialsArrived(refusals: refusals)
            if refusals >= RenewalStateMachine.tokenLimit {
                raise(
                    "JOIN_TOKEN_REFUSED", "the plane has refused this token \(refusals) times; it is sent no more",
                    action: "make a new bundle with nodeguard-plane token create, and give it to nodeguard join")
            }
            node.alarm.ring()
        }
    }

    private func forgetBundle(_ node: ManagedCertificate) {
        guard joining != nil else { return }
        joining = nil
        node.machine.credentialsLost()
    }

    private func missesBundle() {
        raise(
            "JOIN_BUNDLE_MISSING",
            "this node has no valid identity, and there is no unspent join bundle at \(joinSource?.path ?? "")",
            action: "make a bundle with nodeguard-plane token create, and give it to nodeguard join", .warn)
    }

    private func raise(_ code: String, _ detail: String, action: String, _ severity: Severity = .error) {
        reports.raise(HealthReason(code, severity, subject: "join", detail: detail, action: action))
    }

    private func mismatch(of bundle: JoinBundle) -> String? {
        if bundle.node != configuration.node {
            return "the bundle is for node \(bundle.node), this node is \(configuration.node)"
        }
        if let cluster = configuration.cluster, bundle.cluster != cluster {
            return "the bundle is for cluster \(bundle.cluster), the configuration says \(cluster)"
        }
        return nil
    }

    /// The token was used: its file goes away.
    func consume(_ digest: String) {
        guard let joinSource, let reason = joinSource.consume(digest) else { return reports.clear(subject: "join") }
        raise(
            "JOIN_BUNDLE_KEPT", "the token is spent and ignored, but its file cannot be removed: \(reason)",
            action: "remove \(joinSource.path)", .warn)
    }

    // MARK: two phases (RFC 7030 §4.1.1)

    /// First the authorities from a server that nobody vouches for, of which only the pinned root is kept; then the
    /// same from a server that is certified by this root. The token waits until both are done.
    func bootstrap(_ node: ManagedCertificate) async {
        guard let plane, let attempt = joining else { return node.machine.credentialsLost() }
        do throws(CertificateProblem) {
            let label = label(of: node, cluster: attempt.bundle.cluster)
            let roots = try anchors(try await pinnedRoots(of: plane, label: label, pins: attempt.bundle.pins))
            await apply(roots, identity: nil)
            let verified = try await answer(.identity) { () async throws(PlaneError) in
                try await plane.authorities(label: label)
            }
            compareClock(verified.serverTime)
            // Another bundle may have come meanwhile: it has its own pin.
            guard joining?.offer == attempt.offer else { return }
            // What the pinned root vouches for is trusted from the beginning.
            let all = Succession(
                of: roots.certificates, pins: attempt.bundle.pins, offered: verified.certificates, now: seconds)
            joining?.anchors = try anchors(all.anchors)
            joining?.offered = verified.certificates
            joining?.hints = PlaneTrust.hints(among: verified.certificates)
            node.machine.authoritiesConfirmed()
        } catch {
            await failed(node, error, of: attempt)
        }
    }

    /// Over a connection that proves nothing; it carries neither token nor identity.
    func pinnedRoots(
        of plane: PlaneClient, label: String, pins: [String]
    ) async throws(CertificateProblem) -> [Certificate] {
        let fetched = try await provisionalAuthorities(of: plane, label: label)
        compareClock(fetched.serverTime)
        let roots = PlaneTrust.pinnedRoots(among: fetched.certificates, pins: pins)
        guard roots.isEmpty else { return roots }
        let found = fetched.certificates.filter(\.isSelfSigned).map { PlaneTrust.pin(of: $0) }
        throw .pinMismatch(pins, found: found)
    }

    func provisionalAuthorities(of plane: PlaneClient, label: String) async throws(CertificateProblem) -> Authorities {
        provisionalCalls += 1
        let lane = Lane(label: "join-\(provisionalCalls)")
        return try await answer(.identity) { () async throws(PlaneError) in
            try await ESTClient.provisionalAuthorities(
                url: plane.estURL, label: label, lane: lane, timeout: plane.estTimeout)
        }
    }

    func anchors(_ certificates: [Certificate]) throws(CertificateProblem) -> TrustAnchors {
        do {
            return try TrustAnchors(certificates)
        } catch {
            throw CertificateProblem(
                .unusableAnswer, "PLANE_ANSWER_UNUSABLE", .error, "the plane's authorities cannot be used: \(error)",
                action: "check the plane's certificates")
        }
    }

    func compareClock(_ serverTime: Int64?) {
        if let serverTime { reports.clockCompared(difference: seconds - serverTime) }
    }

    // MARK: the plane's client

    /// Gives the plane's client what is in service, and tells the roles whether they can ask.
    func applyCredentials() async {
        // While a join is under way its own trust is in use.
        guard let node, let trust, joining?.anchors == nil || node.isValid(at: now) else { return }
        let identity = node.isValid(at: now) ? node.stored?.identity : nil
        guard await apply(trust.anchors, identity: identity) else { return }
        if let identity { receiver.nodeIdentity(identity, trust.anchors) }
        for certificate in managed where !certificate.isNode {
            if identity == nil {
                certificate.machine.credentialsLost()
            } else {
                certificate.machine.credentialsArrived()
            }
            certificate.alarm.ring()
        }
    }

    /// False when they were in use already. An expired identity is never shown: servers refuse the whole handshake
    /// (libest, US898 test 11).
    @discardableResult
    func apply(_ trust: TrustAnchors, identity: TLSIdentity?) async -> Bool {
        let new = AppliedCredentials(trust: ObjectIdentifier(trust), identity: identity?.leaf)
        guard let plane, applied != new else { return false }
        applied = new
        await plane.replaceCredentials(trust: trust, identity: identity)
        return true
    }

    /// The EST label: the cluster's for the identity, `<cluster>.<role>` for a role.
    func label(of certificate: ManagedCertificate, cluster: String) -> String {
        let base = configuration.management?.label ?? EST.nodeLabel(cluster: cluster)
        return certificate.isNode ? base : EST.roleLabel(cluster: base, role: certificate.role)
    }
}
