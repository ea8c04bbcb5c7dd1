import Foundation
import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports
import Synchronization
import TestSupport

@testable import Management

/// The jobs of a node that has joined, running against a plane that lies, and what they have done and said.
final class LiedToNode: Sendable {
    let plane: LyingPlane
    let state: TemporaryDirectory
    let health = HealthBoard(conditions: [])
    let metrics = Metrics()
    let client: PlaneClient
    private let heard = Shared()
    private let node = ObservedNode()
    private let identities: [TLSIdentity]
    private let alarm = Alarm(label: "lied-to")
    private let running = Mutex<Task<Void, Never>?>(nil)

    private final class Shared: Sendable {
        let events = Mutex<[AuditEvent]>([])
        let applied = Mutex<[DesiredContent]>([])
    }

    init(_ plane: LyingPlane) async throws {
        self.plane = plane
        state = try temporaryDirectory()
        client = PlaneClient(url: plane.url)
        identities = try [plane.client, plane.authority.client(name: "db-1")].map {
            try TLSIdentity(chainFile: $0.chainPEM, keyFile: $0.keyPath)
        }
        let identity = identities[0]
        let own = try plane.authority.root.certificate()
        await client.replaceCredentials(trust: try TrustAnchors([own]), identity: identity)
        node.took(identity, ofRole: ObservedNode.ownRole)
        node.took(try TrustAnchors(try SignedStates.roots + [own]))
    }

    var codes: Set<String> { Set(health.snapshot.reasons.map(\.code)) }
    func detail(_ code: String) -> String { health.snapshot.reasons.first { $0.code == code }?.detail ?? "" }
    var events: [AuditEvent] { heard.events.withLock { $0 } }
    var applied: [DesiredContent] { heard.applied.withLock { $0 } }
    var stored: [UInt8]? { (try? DesiredStateStore(stateDirectory: state.path).load()) ?? nil }

    func startDesired(stored: StoredDesiredState = .none) -> DesiredStateFetcher {
        let heard = heard
        let fetcher = DesiredStateFetcher(
            for: SignedStates.reader, stateDirectory: state.path, stored: stored, results: [], alarm: alarm,
            plane: client, node: node,
            apply: { content in
                heard.applied.withLock { $0.append(content) }
                return .success([])
            }, renew: { _ in nil }, changed: {}, health: health, metrics: metrics,
            audit: AuditReporter { event in heard.events.withLock { $0.append(event) } })
        running.withLock { $0 = Task { await fetcher.run() } }
        return fetcher
    }

    func startReporting() {
        let reporter = ObservedReporter(
            version: "1.2.3", boot: "boot", stateDirectory: state.path, alarm: alarm, plane: client, node: node,
            listeners: { [] }, desired: { nil }, health: health, metrics: metrics)
        running.withLock { $0 = Task { await reporter.run() } }
    }

    /// Has the job ask again and again until `condition` holds: who has another identity does not end his pause first.
    func asks(until condition: () async -> Bool) async throws {
        var asked = -1
        let came = await eventually(within: 60) {
            if await condition() { return true }
            // One ring for each question: more would only be heard at the end of the next pause.
            if plane.requests.count != asked {
                asked = plane.requests.count
                node.took(identities[(asked + 1) % 2], ofRole: ObservedNode.ownRole)
                alarm.ring()
            }
            return false
        }
        if came { return }
        throw TestSupportError("it did not come to that after \(plane.requests.count) questions: \(health.snapshot)")
    }

    func stop() async {
        let task = running.withLock { $0 }
        task?.cancel()
        await task?.value
        await client.close()
    }
}
