import IO
import OpenSSL
import PlaneClient
import Reports

/// Keeps the cluster's CRLs as new as the plane has them: fetched, checked, on the disk, and handed out, in this order.
///
/// What was handed out stays in force whatever the plane does, over restarts too; nothing older ever takes its place.
package actor RevocationFetcher: QueueConfined {
    package typealias Receiver = @Sendable (_ lists: [RevocationList], _ signers: [Certificate]) -> Void

    package nonisolated let queue = SerialQueue(label: "revocation-lists", isPatient: true)
    private let cluster: String
    private let plane: PlaneClient
    private let store: RevocationStore
    private let reports: RevocationFetchReports
    private let receiver: Receiver
    private nonisolated let alarm = Alarm(label: "revocation-lists")

    private var polls = PollStateMachine()
    /// nil: this node has not joined yet.
    private var trust: TrustAnchors?
    private var isLoaded = false
    /// As they came, those of authorities too that this node does not know yet.
    private var lists: [RevocationList] = []
    /// How new the lists were that cannot be read any more: none that is older takes their place.
    private var newest: [RevocationMark] = []
    private var tag: String?
    /// What could not be written to the disk.
    private var unsaved: [UInt8]?

    /// `receiver`: gets the lists that authorities of the cluster have signed, and these; called on the job's queue.
    package init(
        cluster: String, stateDirectory: String, plane: PlaneClient, receiver: @escaping Receiver, health: HealthBoard,
        metrics: Metrics, audit: AuditReporter
    ) {
        self.cluster = cluster
        self.plane = plane
        self.receiver = receiver
        store = RevocationStore(stateDirectory: stateDirectory)
        reports = RevocationFetchReports(cluster: cluster, health, audit, metrics)
    }

    /// The cluster's authorities, intermediates among them; from any thread.
    package nonisolated func publish(trust: TrustAnchors) { submit { $0.take(trust) } }

    /// The plane is called as another from now on: who has no identity may not wait there. From any thread.
    package nonisolated func identityChanged() { alarm.ring() }

    /// Asks until the task is cancelled.
    package func run() async {
        while true {
            let pause = isLoaded ? await poll() : lookAgain()
            if await alarm.wait(for: .seconds(pause)) == .cancelled { return }
        }
    }

    private func take(_ new: TrustAnchors) {
        trust = new
        if isLoaded { handOut() } else { load(under: new) }
        alarm.ring()
    }

    // MARK: the disk

    /// Seconds until the next time. Before it is known what was in force, nothing that the plane gives may be.
    private func lookAgain() -> Double {
        if let trust { load(under: trust) }
        return isLoaded ? 0 : trust == nil ? PollStateMachine.interval : polls.failed(retryAfter: nil, random: random)
    }

    private func load(under trust: TrustAnchors) {
        do throws(StoreError) {
            let stored = try store.load()
            isLoaded = true
            reports.read()
            guard let stored else { return reports.missing() }
            do throws(OpenSSLError) {
                lists = try RevocationList.parse(
                    stored.bytes, issuers: trust.certificates, othersHaveTheirNames: true)
            } catch {
                newest = store.newest
                return reports.quarantined(store.quarantine(), reason: error.description)
            }
            tag = stored.tag
            handOut()
        } catch {
            newest = store.newest
            isLoaded = !newest.isEmpty
            reports.notReadable(error.description, isKnown: isLoaded)
        }
    }

    private func save(_ bytes: [UInt8]) {
        do throws(StoreError) {
            try store.save(bytes, tag: tag, newest: lists.map(\.mark) + newest)
            unsaved = nil
            reports.saved()
        } catch {
            unsaved = bytes
            reports.notSaved(error.description)
        }
    }

    // MARK: the plane

    private var random: Double { .random(in: 0..<1) }

    /// Seconds until the next time.
    private func poll() async -> Double {
        let began = ContinuousClock.now
        let random = self.random
        do throws(PlaneError) {
            let answer = try await plane.revocationLists(
                cluster: cluster, after: tag, limit: RevocationList.sizeLimit)
            let took = Double((ContinuousClock.now - began) / .seconds(1))
            if let bytes = answer.lists {
                guard take(bytes, tag: answer.tag) else { return polls.failed(retryAfter: nil, random: random) }
            } else {
                if let unsaved { save(unsaved) }
                reports.answered(isNew: false)
            }
            return polls.answered(isAwaited: answer.isAwaited, took: took, random: random)
        } catch {
            if Task.isCancelled { return 0 }
            let pause = polls.failed(
                retryAfter: error.retryAfter.map { Double($0.components.seconds) }, random: random)
            reports.failed(error.detail, times: polls.failures)
            return pause
        }
    }

    /// False, and nothing has changed, if they cannot be used.
    private func take(_ bytes: [UInt8], tag new: String?) -> Bool {
        guard let trust else { return false }
        let whole: [UInt8]
        do throws(OpenSSLError) {
            let found = try RevocationList.parse(bytes, issuers: trust.certificates, othersHaveTheirNames: true)
            if let reason = objection(to: found, under: trust) { throw OpenSSLError("take the cluster's CRLs", reason) }
            let missing = lists.filter { known in
                known.isOf(trust.certificates) && !found.contains { $0.origin == known.origin }
            }
            whole = try joined(bytes, missing)
            lists = found + missing
            newest.removeAll { mark in lists.contains { $0.mark.origin == mark.origin } }
        } catch {
            reports.refused(error.description)
            return false
        }
        tag = new
        save(whole)
        handOut()
        reports.answered(isNew: true)
        return true
    }

    /// A list that is left out stays in force beside the new ones: whom an authority of the cluster has revoked is not
    /// let in again because the plane says nothing of it.
    private func joined(_ bytes: [UInt8], _ missing: [RevocationList]) throws(OpenSSLError) -> [UInt8] {
        if missing.isEmpty { return bytes }
        let wanted = Set(missing.map(\.fingerprint))
        let before = unsaved ?? (try? store.load())?.bytes ?? []
        let kept = try RevocationList.encodings(in: before).filter { wanted.contains(Digest.sha256($0)) }
        guard kept.count == missing.count else {
            let issuer = missing[0].issuer
            throw OpenSSLError("take the cluster's CRLs", "that of \(issuer) is left out, and not on the disk")
        }
        let all = try RevocationList.encodings(in: bytes) + kept
        let whole = Array(all.joined())
        guard all.count <= RevocationList.countLimit, whole.count <= RevocationList.sizeLimit else {
            throw OpenSSLError("take the cluster's CRLs", "with those that are left out they are too many or too large")
        }
        return whole
    }

    private func objection(to found: [RevocationList], under trust: TrustAnchors) -> String? {
        guard found.contains(where: { $0.isOf(trust.certificates) }) else {
            return "none of them is signed by an authority of the cluster"
        }
        let now = Timestamp.now.seconds
        for list in found {
            if let known = lists.first(where: { $0.origin == list.origin && list.isOlder(than: $0) }) {
                return "\(list) is older than number \(known.number ?? "?"), which is in use"
            }
            if let mark = newest.first(where: { $0.origin == list.mark.origin && list.mark.isOlder(than: $0) }) {
                return "\(list) is older than the one of \(Timestamp(seconds: mark.thisUpdate)), which was in use"
            }
            if list.thisUpdate > now { return "\(list) is not valid before \(Timestamp(seconds: list.thisUpdate))" }
        }
        return nil
    }

    /// A list of an authority that is not known is kept: the authority may become known.
    private func handOut() {
        guard let trust else { return }
        let own = lists.filter { $0.isOf(trust.certificates) }
        if own.isEmpty { return reports.missing() }
        receiver(own, trust.certificates)
        reports.inForce(own)
    }
}

extension RevocationList {
    fileprivate func isOf(_ authorities: [Certificate]) -> Bool { authorities.contains(where: isIssued) }
}
