import Foundation
import OpenSSL
import PlaneClient
import Reports
import Synchronization
import TestSupport

@testable import Certificates

/// A node with a real state folder and a running certificates job, and what it has said so far.
final class Node: Sendable {
    struct Heard: Sendable {
        var identities: [String: [TLSIdentity]] = [:]
        var nodeIdentities: [TLSIdentity] = []
        var trusts: [TrustAnchors] = []
        var memberships: [Membership] = []
        var events: [AuditEvent] = []
        var filesDue = 0
    }

    static let database = RoleConfiguration(
        name: "database",
        source: .enrolled(
            dnsNames: ["db-1.example", "localhost"], addresses: [[127, 0, 0, 1]], uris: ["spiffe://alpha/db/1"],
            server: true, client: true))

    let state: TemporaryDirectory
    let health = HealthBoard(conditions: ["certificates"])
    let metrics = Metrics()
    let renewer: CertificateRenewer
    let plane: PlaneClient?
    private let shared: SharedHeard
    private let running = Mutex<Task<Void, Never>?>(nil)

    init(
        _ state: TemporaryDirectory, url: String?, roles: [RoleConfiguration] = [Node.database],
        keyKind: KeyKind = .ecP256, cluster: String? = "alpha", timeout: Duration = .seconds(60), user: String = "",
        limits: IssuanceLimits = IssuanceLimits(hourly: 1000, daily: 1000), rebootstrapDelay: Double = 600
    ) {
        self.state = state
        let heard = SharedHeard()
        plane = url.map { PlaneClient(url: $0, estUser: user, estTimeout: timeout) }
        var configuration = CertificatesConfiguration(
            stateDirectory: state.path, node: "db-1", cluster: cluster,
            management: url.map { _ in ManagementConfiguration(joinFile: state.file("bundle")) }, key: KeyRule(keyKind),
            roles: roles)
        configuration.retryBase = 0.2
        configuration.limits = limits
        configuration.rebootstrapDelay = rebootstrapDelay
        configuration.pollInterval = .milliseconds(50)
        shared = heard
        renewer = CertificateRenewer(
            configuration, plane: plane, receiver: heard.receiver, health: health, metrics: metrics,
            audit: AuditReporter { event in heard.add { $0.events.append(event) } })
    }

    var said: Heard { shared.value }
    var codes: Set<String> { Set(health.snapshot.reasons.map(\.code)) }
    var isReady: Bool { health.snapshot.isReady }
    func events(_ name: AuditEventName) -> [AuditEvent] { said.events.filter { $0.name == name } }
    func served(_ role: String = "database") -> [TLSIdentity] { said.identities[role] ?? [] }

    /// What the status document says of one certificate.
    func shown(_ member: String, of role: String = "database") -> String? {
        guard case .object(let section)? = health.snapshot.sections["certificates"],
            case .array(let rows)? = section["roles"]
        else { return nil }
        for case .object(let row) in rows where row["role"] == .string(role) {
            if case .string(let text)? = row[member] { return text }
        }
        return nil
    }

    func detail(_ code: String) -> String? { health.snapshot.reasons.first { $0.code == code }?.detail }

    func start() async {
        await renewer.start()
        let renewer = renewer
        running.withLock { $0 = Task { await renewer.run() } }
    }

    func stop() async {
        await renewer.stop()
        await running.withLock { $0 }?.value
        await plane?.close()
    }

    /// Waits until `condition` holds; says what the node said otherwise.
    func waits(
        within seconds: Double = 30, for condition: (Node) -> Bool
    ) async throws {
        if await eventually(within: seconds, { condition(self) }) { return }
        throw TestSupportError("it did not come to that: \(health.snapshot)")
    }

    private final class SharedHeard: Sendable {
        private let heard = Mutex(Heard())
        var value: Heard { heard.withLock { $0 } }
        func add(_ change: (inout Heard) -> Void) { heard.withLock { change(&$0) } }

        var receiver: CertificateReceiver {
            CertificateReceiver(
                nodeIdentity: { identity, _ in self.add { $0.nodeIdentities.append(identity) } },
                identity: { role, identity in self.add { $0.identities[role, default: []].append(identity) } },
                trust: { trust in self.add { $0.trusts.append(trust) } },
                membership: { membership in self.add { $0.memberships.append(membership) } },
                filesDue: { self.add { $0.filesDue += 1 } })
        }
    }
}

/// Every file below `folder`, with its bytes.
func allFiles(in folder: String) -> [(path: String, bytes: Data)] {
    let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return paths.compactMap { path in
        FileManager.default.contents(atPath: folder + "/" + path).map { (path, $0) }
    }
}
