import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Proxy

/// Everything that a live test needs: authorities, a proxy with one or more listeners, and what it reported.
final class Stage: Sendable {
    static let authority = Result { try TestAuthority() }
    static let foreign = Result { try TestAuthority(name: "Foreign") }
    /// Certificates are slow to make: each kind once for all tests.
    static let server = Result { try authority.get().server() }
    static let client = Result { try authority.get().issue(name: "shop", uris: ["spiffe://c/app/shop"]) }
    static let intern = Result { try authority.get().issue(name: "intern", uris: ["spiffe://c/desk/intern"]) }
    static let stranger = Result { try foreign.get().client(name: "shop") }

    let proxy: DatabaseProxy
    let metrics = Metrics()
    let health = HealthBoard(conditions: ["listeners"])
    let events = EventLog()

    init(
        _ listeners: [ListenerConfiguration], limits: ProxyLimits = ProxyLimits(), publishes: Bool = true,
        lanes: Int = 2, handshakeLanes: Int = 1, exposure: ExposureMode = .report,
        isAudited: @escaping @Sendable () -> Bool = { true }
    ) throws {
        var configuration = ProxyConfiguration(listeners: listeners, limits: limits)
        configuration.dataLanes = lanes
        configuration.handshakeLanes = handshakeLanes
        configuration.exposure = exposure
        let events = self.events
        proxy = DatabaseProxy(
            configuration, metrics: metrics, health: health, audit: AuditReporter { events.add($0) },
            isAudited: isAudited)
        if publishes { try publish() }
        try proxy.start()
    }

    func publish(_ server: TestIdentity? = nil) throws {
        proxy.publish(trust: try TrustAnchors(pem: try Stage.authority.get().root.certificatePEM))
        let identity = try server ?? Stage.server.get()
        proxy.publish(
            identity: try TLSIdentity(chainFile: try identity.chainPEM, keyFile: identity.keyPath), forRole: "database")
    }

    static func listener(
        _ databaseProtocol: DatabaseProtocol, backend: [SocketAddress], name: String = "db",
        change: (inout ListenerConfiguration) throws -> Void = { _ in }
    ) throws -> ListenerConfiguration {
        var listener = ListenerConfiguration(
            name: name, listen: [.ipv4([127, 0, 0, 1], port: 0)], databaseProtocol: databaseProtocol, backend: backend,
            certificateRole: "database",
            policy: AccessPolicy(allow: [try AccessRule([.uri: ["spiffe://c/app/*"]])]))
        try change(&listener)
        return listener
    }

    /// Its remote end is to be `localhost`, of the authority that all know.
    static func tunnel(
        _ databaseProtocol: DatabaseProtocol, to remote: String, name: String = "out",
        change: (inout ListenerConfiguration) throws -> Void = { _ in }
    ) throws -> ListenerConfiguration {
        var tunnel = ListenerConfiguration(
            tunnel: TunnelSettings(to: remote, name: "localhost"), name: name,
            listen: [.ipv4([127, 0, 0, 1], port: 0)], databaseProtocol: databaseProtocol, certificateRole: "database")
        try change(&tunnel)
        return tunnel
    }

    var port: UInt16 { port(of: "db") }
    func port(of name: String) -> UInt16 { proxy.addresses(ofListener: name).first?.port ?? 0 }

    func counters(_ name: String = "db") throws -> ListenerCounters {
        try #require(proxy.listeners.first { $0.name == name }).counters
    }

    func refused(_ reason: RefusalReason) -> UInt64 {
        proxy.listeners.reduce(0) { $0 + ($1.counters.refused[reason.rawValue] ?? 0) }
    }

    /// Why connections were refused, in the words of the audit events.
    var refusalDetails: [String] {
        events.named(.connectionRefused).map { event in
            if case .string(let text)? = event.fields["detail"] { text } else { "" }
        }
    }

    var open: Int { proxy.house.admission.authenticatedCount }
    var unauthenticated: Int { proxy.house.admission.unauthenticatedCount }
}

/// The audit events in order.
final class EventLog: Sendable {
    private let events = Mutex<[AuditEvent]>([])

    func add(_ event: AuditEvent) { events.withLock { $0.append(event) } }

    func named(_ name: AuditEventName) -> [AuditEvent] { events.withLock { $0.filter { $0.name == name } } }
}

/// What threads of a test tell it.
final class Notes: Sendable {
    private let notes = Mutex<[String]>([])

    func add(_ note: String) { notes.withLock { $0.append(note) } }

    var all: [String] { notes.withLock { $0 } }
}

/// Sockets that the proxy holds: of clients at its ports, and to the database. Those of the tests' own clients and
/// backends are at the other ends.
func proxySockets(_ stage: Stage, _ backend: TestBackend) -> Int {
    let ports = Set(stage.proxy.listeners.flatMap { $0.addresses.compactMap(\.port) })
    // Foundation reads no more than a page of a file whose size is said to be 0.
    let table = String(decoding: (try? Files.read("/proc/net/tcp", limit: 64 << 20)) ?? [], as: UTF8.self)
    return table.split(separator: "\n").dropFirst().count { line in
        let fields = line.split(separator: " ")
        guard fields.count > 9, fields[3] != "0A", fields[9] != "0" else { return false }
        let (local, remote) = (UInt16(fields[1].suffix(4), radix: 16), UInt16(fields[2].suffix(4), radix: 16))
        return local.map(ports.contains) == true || remote == backend.port
    }
}

/// What the lanes of this process hold.
func laneDescriptors() -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.count {
        let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + $0)
        return target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]"
    }
}
