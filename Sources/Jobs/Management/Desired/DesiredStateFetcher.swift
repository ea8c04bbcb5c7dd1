import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

/// Keeps what is applied as new as the plane's word: fetched, verified, applied as a whole or not at all, on the disk.
///
/// What was applied stays in effect whatever the plane does, over restarts too; nothing older ever takes its place.
package actor DesiredStateFetcher: QueueConfined {
    /// Puts a desired state into effect as a whole; what became of each part.
    package typealias Application = @Sendable (DesiredContent) async -> Result<[ObservedState.Result], DesiredRefusal>

    package nonisolated let queue = SerialQueue(label: "desired", isPatient: true)
    private let reader: VerifiedDesiredState.Reader
    private let plane: PlaneClient
    private let store: DesiredStateStore
    private let apply: Application
    private let changed: @Sendable () -> Void
    private let reports: DesiredReports
    private let renew: @Sendable (_ role: String) async -> RenewalRefusal?
    private var orders: ReissueOrders
    private let node: ObservedNode
    private let alarm: Alarm

    private var polls = PollStateMachine()
    private var versions = DesiredVersionStateMachine()
    private var applied: VerifiedDesiredState?
    private var results: [ObservedState.Result]
    private var refusal: DesiredRefusal?
    private var tag: String?
    /// Whether what is applied is not on the disk.
    private var isUnsaved = false

    /// `stored`, `results`: what was in effect when the node started. `alarm`: rung when the plane is called as another
    /// from now on. `renew`: renews the certificate of a role now. `changed`: there is something to tell the plane;
    /// called on the job's queue.
    package init(
        for reader: VerifiedDesiredState.Reader, stateDirectory: String, stored: StoredDesiredState,
        results: [ObservedState.Result], alarm: Alarm, plane: PlaneClient, node: ObservedNode,
        apply: @escaping Application,
        renew: @escaping @Sendable (_ role: String) async -> RenewalRefusal?, changed: @escaping @Sendable () -> Void,
        health: HealthBoard, metrics: Metrics, audit: AuditReporter
    ) {
        self.reader = reader
        self.plane = plane
        self.node = node
        self.alarm = alarm
        self.apply = apply
        self.changed = changed
        self.results = results
        self.renew = renew
        store = DesiredStateStore(stateDirectory: stateDirectory)
        orders = ReissueOrders(stateDirectory: stateDirectory, serial: { node.serial(ofRole: $0) })
        reports = DesiredReports(health, audit, metrics)
        switch stored {
        case .none: break
        case .verified(let state):
            applied = state
            versions.applied(state.offer)
            reports.applied(state, isNew: false)
        case .unusable(let refusal):
            self.refusal = refusal
            reports.storedUnusable(refusal, path: store.path)
        }
    }

    /// For the node's report.
    package func observed() -> ObservedState.Desired {
        ObservedState.Desired(
            version: applied?.state.version ?? 0, hash: applied?.hash, results: results + orders.results,
            refusal: refusal.map { ObservedState.Refusal(reason: $0.reason.rawValue, detail: Self.short($0.detail)) })
    }

    /// Asks until the task is cancelled.
    package func run() async {
        await reviewOrders()
        while true {
            // Before it has joined, a node would only be refused.
            let pause = node.identitySerial == nil ? PollStateMachine.interval : await poll()
            changed()
            reports.looked(isExpired: versions.isExpired(at: Timestamp.now.seconds))
            await reviewOrders()
            if await alarm.wait(for: .seconds(pause)) == .cancelled { return }
        }
    }

    private func reviewOrders() async {
        let (due, flaw) = orders.review(applied?.state.content.reissue ?? [])
        for order in due { orders.answered(order, await renew(order.role)) }
        reports.stored(flaw: flaw ?? (isUnsaved ? "it could not be written" : nil))
    }

    /// Seconds until the next time.
    private func poll() async -> Double {
        let began = ContinuousClock.now
        let random = Double.random(in: 0..<1)
        do throws(PlaneError) {
            let answer = try await plane.desiredState(after: tag)
            let took = Double((ContinuousClock.now - began) / .seconds(1))
            reports.answered()
            switch answer.outcome {
            case .unchanged: if isUnsaved { save() }
            case .none:
                guard applied == nil else {
                    refuse(DesiredRefusal(.withdrawn, "the plane has none for this node, and had one before"))
                    return polls.failed(retryAfter: nil, random: random)
                }
            case .envelope(let bytes):
                guard await take(bytes) else { return polls.failed(retryAfter: nil, random: random) }
            }
            tag = answer.tag
            return polls.answered(isAwaited: answer.isAwaited, took: took, random: random)
        } catch {
            if Task.isCancelled { return 0 }
            let pause = polls.failed(
                retryAfter: error.retryAfter.map { Double($0.components.seconds) }, random: random)
            reports.failed(error.detail, times: polls.failures)
            return pause
        }
    }

    /// False, and nothing has changed, if it cannot be applied.
    private func take(_ bytes: [UInt8]) async -> Bool {
        let now = Timestamp.now.seconds
        do throws(DesiredRefusal) {
            let new = try VerifiedDesiredState(verifying: bytes, for: reader, roots: node.authorities, at: now)
            switch versions.offered(new.offer, at: now) {
            case .known: break
            case .refuse(let objection): throw DesiredRefusal(objection, new, versions.applied)
            case .apply:
                results = try await apply(new.state.content).get()
                applied = new
                versions.applied(new.offer)
                reports.applied(new, isNew: true)
                save()
            }
        } catch {
            refuse(error)
            return false
        }
        refusal = nil
        reports.agreed()
        return true
    }

    private func refuse(_ refusal: DesiredRefusal) {
        if Task.isCancelled { return }
        reports.refused(refusal, isNews: self.refusal != refusal)
        self.refusal = refusal
    }

    private func save() {
        guard let applied else { return }
        do throws(IOError) {
            try store.save(applied.envelope)
            isUnsaved = false
        } catch {
            isUnsaved = true
            reports.stored(flaw: error.description)
        }
    }

    private static func short(_ text: String) -> String {
        let line = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
        return String(String.UnicodeScalarView(line.prefix(200)))
    }
}

extension DesiredRefusal {
    fileprivate init(
        _ objection: DesiredVersionStateMachine.Objection, _ new: VerifiedDesiredState,
        _ applied: DesiredVersionStateMachine.Offer?
    ) {
        let (version, before) = (new.state.version, applied?.version ?? 0)
        switch objection {
        case .olderVersion: self.init(.olderVersion, "its version \(version) is older than \(before), which is applied")
        case .sameVersion: self.init(.sameVersion, "another one of the version \(version) is applied")
        case .olderKey: self.init(.olderKey, "its key is older than that of version \(before), which is applied")
        case .expired:
            self.init(
                .expired, "version \(version) was to be applied before \(Timestamp(seconds: new.state.expiresAt))")
        case .fromTheFuture:
            self.init(.fromTheFuture, "version \(version) is of \(Timestamp(seconds: new.state.issuedAt))")
        }
    }
}
