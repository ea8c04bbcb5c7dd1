import OpenSSL
import PlaneClient
import Reports
import Synchronization
import TestSupport

@testable import Certificates

/// The job that fetches CRLs, running, and what it has handed out and said.
final class FetchingNode: Sendable {
    struct Heard: Sendable {
        var lists: [[RevocationList]] = []
        var events: [AuditEvent] = []
    }

    let fetcher: RevocationFetcher
    let health = HealthBoard(conditions: [])
    let metrics = Metrics()
    private let heard = Shared()
    private let task: Task<Void, Never>

    private final class Shared: Sendable {
        let heard = Mutex(Heard())
    }

    init(_ plane: PlaneClient, _ state: TemporaryDirectory) {
        let heard = heard
        fetcher = RevocationFetcher(
            cluster: "alpha", stateDirectory: state.path, plane: plane,
            receiver: { lists, _ in heard.heard.withLock { $0.lists.append(lists) } }, health: health,
            metrics: metrics, audit: AuditReporter { event in heard.heard.withLock { $0.events.append(event) } })
        task = Task { [fetcher] in await fetcher.run() }
    }

    var lists: [[RevocationList]] { heard.heard.withLock { $0.lists } }
    var numbers: [String] { (lists.last ?? []).map { $0.number ?? "none" } }
    var events: [AuditEvent] { heard.heard.withLock { $0.events } }
    var codes: Set<String> { Set(health.snapshot.reasons.map(\.code)) }
    func detail(_ code: String) -> String { health.snapshot.reasons.first { $0.code == code }?.detail ?? "" }

    func waits(_ condition: (FetchingNode) -> Bool) async throws {
        if await eventually(within: 40, { condition(self) }) { return }
        throw TestSupportError("it did not come to that: \(numbers) \(health.snapshot)")
    }

    /// Has it ask again and again until `condition` holds: who has another identity does not end his pause first.
    func asks(_ plane: LyingPlane, until condition: (FetchingNode) -> Bool) async throws {
        var asked = -1
        try await waits { node in
            if condition(node) { return true }
            if plane.requests.count != asked {
                asked = plane.requests.count
                node.fetcher.identityChanged()
            }
            return false
        }
    }

    func stop() async {
        task.cancel()
        await task.value
    }
}
