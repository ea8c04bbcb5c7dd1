import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

extension CertificateRenewer {
    func replaceTrust(_ new: StoredTrust) throws(CertificateProblem) {
        try storing { () throws(StoreError) in try trustStore.publish(new) }
        let isNewMember = trust?.membership != new.membership
        trust = new
        if isNewMember { receiver.membership(new.membership) }
        receiver.trust(new.anchors)
        reports.trustChanged(new.anchors)
    }

    /// Asks a verified plane for its authorities; a new root with a pinned key is trusted before it is needed.
    /// Not again within so many seconds.
    func refreshTrust(atLeastAfter pause: Double = 60) async {
        guard let plane, let node, let current = trust, abs(now - trustRefreshed) >= pause else { return }
        trustRefreshed = now
        let label = label(of: node, cluster: current.membership.cluster)
        do throws(PlaneError) {
            let fetched = try await plane.authorities(label: label)
            reports.planeAnswered()
            trustMachine.planeTrusted()
            compareClock(fetched.serverTime)
            hints = PlaneTrust.hints(among: fetched.certificates)
            await takeRoots(PlaneTrust.pinnedRoots(among: fetched.certificates, pins: current.membership.pins))
        } catch {
            // The request that follows meets the same and reports it; without one, this is how it is noticed.
            if error.kind == .untrusted, pause == 0 { await lookForPinnedRoot() }
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

    func extendTrust(
        _ current: StoredTrust, isNew: Bool = false, roots: [Certificate] = [], verifiedChain: [Certificate] = []
    ) throws(CertificateProblem) {
        let all = PlaneTrust.extended(
            current.anchors.certificates, roots: roots, verifiedChain: verifiedChain, now: seconds)
        guard isNew || Set(all) != Set(current.anchors.certificates) else { return }
        try replaceTrust(StoredTrust(anchors: try anchors(all), membership: current.membership))
    }

    /// Of a plane that is not trusted, what its pinned root says: it is taken once the plane has been untrusted for a
    /// while, because it may have been renewed with the same key. Says by how much our clock is ahead of the server's.
    @discardableResult
    func lookForPinnedRoot() async -> Int64? {
        let action = trustMachine.planeUntrusted(at: now)
        trustAlarm.ring()
        guard let plane, let node, let pins = trust?.membership.pins ?? joining?.bundle.pins,
            let cluster = trust?.membership.cluster ?? joining?.bundle.cluster
        else { return nil }
        do throws(CertificateProblem) {
            let found = try await provisionalAuthorities(of: plane, label: label(of: node, cluster: cluster))
            let roots = PlaneTrust.pinnedRoots(among: found.certificates, pins: pins)
            if action == .rebootstrap, trust != nil, !roots.isEmpty { await takeRoots(roots) }
            return found.serverTime.map { seconds - $0 }
        } catch {
            return nil
        }
    }
}
