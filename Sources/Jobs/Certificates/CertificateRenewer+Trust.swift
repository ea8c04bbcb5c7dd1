import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

extension CertificateRenewer {
    func keepTrust() async {
        while !isEnding {
            let usual = now + 6 * 3600 * (1 + Double.random(in: -0.1...0.1))
            // The fleet hears it at once: it does not ask at once.
            let news = hasTrustNews ? max(now, trustRefreshed + newsPause) + .random(in: 0..<Self.newsSpread) : usual
            let time = min(usual, trustMachine.nextLook(at: now) ?? usual, news)
            if await trustAlarm.wait(untilUnixSeconds: time) == .elapsed { await refreshTrust(atLeastAfter: 0) }
        }
    }

    /// At least so many seconds between two questions because of news, and after one that came to nothing.
    static let newsPauses = 5.0...60.0
    private static let newsSpread = 2.0

    func trustNewsCame() {
        hasTrustNews = true
        trustAlarm.ring()
    }

    func replaceTrust(_ new: StoredTrust) throws(CertificateProblem) {
        try storing { () throws(StoreError) in try trustStore.publish(new) }
        let before = trust
        trust = new
        if before?.membership != new.membership { receiver.membership(new.membership) }
        if before.map({ Set($0.anchors.certificates) }) != Set(new.anchors.certificates) {
            receiver.trust(new.anchors)
            reports.trustChanged(new.anchors)
        }
        guard (before?.crossCertificates ?? []) != new.crossCertificates else { return }
        for certificate in managed where certificate.isValid(at: now) { handOut(certificate) }
    }

    /// Asks a verified plane for its authorities; a new root with a pinned key, or one that a trusted root vouches for,
    /// is trusted before it is needed. Not again within so many seconds.
    func refreshTrust(atLeastAfter pause: Double = 60) async {
        guard let plane, let node, let current = trust, abs(now - trustRefreshed) >= pause || hasTrustNews else {
            return
        }
        trustRefreshed = now
        let wasNews = hasTrustNews
        hasTrustNews = false
        let label = label(of: node, cluster: current.membership.cluster)
        do throws(PlaneError) {
            let fetched = try await plane.authorities(label: label)
            reports.planeAnswered()
            trustMachine.planeTrusted()
            compareClock(fetched.serverTime)
            hints = PlaneTrust.hints(among: fetched.certificates)
            await follow(fetched.certificates)
            takeOrders(fetched.renewals)
            newsPause = Self.newsPauses.lowerBound
        } catch {
            // Nobody says it twice.
            hasTrustNews = wasNews
            newsPause = Self.newsPauses.upperBound
            // The request that follows meets the same and reports it; without one, this is how it is noticed.
            if error.kind == .untrusted, pause == 0 { await lookForPinnedRoot() }
        }
    }

    private func follow(_ offered: [Certificate]) async {
        guard let current = trust else { return }
        do throws(CertificateProblem) {
            try followRoots(of: current, offered: offered)
            await applyCredentials()
        } catch {
            reports.failed(error, role: RoleConfiguration.node)
        }
    }

    func followRoots(of current: StoredTrust, offered: [Certificate]) throws(CertificateProblem) {
        let next = Succession(
            of: current.anchors.certificates, pins: current.membership.pins, offered: offered, now: seconds)
        let isSame = Set(next.anchors) == Set(current.anchors.certificates)
        guard !isSame || next.pins != current.membership.pins || next.crossCertificates != current.crossCertificates
        else { return }
        var new = StoredTrust(
            anchors: isSame ? current.anchors : try anchors(next.anchors),
            membership: current.membership.pinning(next.pins))
        new.crossCertificates = next.crossCertificates
        try replaceTrust(new)
    }

    /// Which certificates the plane wants to be replaced before they are due; an order that it no longer names is
    /// withdrawn.
    private func takeOrders(_ windows: [RenewalWindow]) {
        for certificate in managed {
            guard let identity = certificate.stored?.identity, identity.chain.count > 1 else { continue }
            let issuer = Hexadecimal.text(identity.chain[1].publicKeySHA256)
            let jitter = RenewalJitter.fraction(node: configuration.node, serial: identity.leaf.serial)
            let time = windows.first { $0.issuer == issuer }
                .map { Double($0.start) + jitter * Double($0.end - $0.start) }
            certificate.machine.renewalOrdered(at: time)
            certificate.alarm.ring()
        }
    }

    /// Whoever ordered this certificate does not wait for the window of those who get it.
    func noteOrder(of certificate: ManagedCertificate, _ leaf: Certificate) {
        defer { certificate.isOrdered = false }
        guard certificate.isOrdered, !certificate.isNode else { return }
        do throws(IOError) {
            try PublicationRecord.noteOrder(
                of: leaf.serial, certificate.role, stateDirectory: configuration.stateDirectory)
        } catch {
            unreadable(StoreError(error), what: CertificateReports.subject(certificate.role))
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
        var new = StoredTrust(anchors: try anchors(all), membership: current.membership)
        new.crossCertificates = current.crossCertificates
        try replaceTrust(new)
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
