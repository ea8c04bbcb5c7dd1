import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Certificates

/// The job with one role, and what it has said.
private final class PublishingNode: Sendable {
    let health = HealthBoard(conditions: [])
    let metrics = Metrics()
    let states = PublicationStates()
    let publisher: CertificatePublisher
    private let events: SharedEvents
    private let running = Mutex<Task<Void, Never>?>(nil)

    init(_ fixture: PublicationFixture, _ configuration: PublicationConfiguration) {
        var times = PublicationStateMachine.Times()
        (times.interval, times.grace, times.firstPause, times.longestPause) = (0.2, 1, 0.2, 0.4)
        let events = SharedEvents()
        self.events = events
        let job = CertificatesConfiguration(
            stateDirectory: fixture.statePath, node: "db-1", cluster: "alpha", management: nil,
            roles: [fixture.role(configuration)])
        publisher = CertificatePublisher(
            job, isSupervised: false, states: states, times: times, health: health, metrics: metrics,
            audit: AuditReporter { event in events.add(event) })
        let publisher = publisher
        running.withLock { $0 = Task { await publisher.run() } }
    }

    func stop() async {
        let task = running.withLock { $0 }
        task?.cancel()
        await task?.value
    }

    var codes: [String] { health.snapshot.reasons.map(\.code) }
    func delivered(_ outcome: AuditOutcome) -> Int { events.all.count { $0.outcome == outcome } }

    func member(_ name: String) -> String? {
        guard case .object(let members)? = states["database"], case .string(let text)? = members[name] else {
            return nil
        }
        return text
    }

    func comes(to condition: (PublishingNode) -> Bool) async throws {
        if await eventually(within: 120, { condition(self) }) { return }
        throw TestSupportError("it did not come to that: \(states["database"]?.text ?? "") \(health.snapshot.reasons)")
    }

    private final class SharedEvents: Sendable {
        private let events = Mutex<[AuditEvent]>([])
        var all: [AuditEvent] { events.withLock { $0 } }
        func add(_ event: AuditEvent) { events.withLock { $0.append(event) } }
    }
}

@Suite(.serialized) struct `The job that publishes` {
    /// A TLS server of somebody else, which reads its files once.
    private func server(_ fixture: PublicationFixture, port: Int, _ more: [String] = []) async throws -> Subprocess {
        let server = try Subprocess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", fixture.directory + "/server.crt", "-key",
                fixture.directory + "/server.key",
            ] + more, keepsInputOpen: true)
        try await server.waitForLine(containing: "ACCEPT")
        return server
    }

    private func end(_ server: Subprocess) async throws {
        server.signal(SIGKILL)
        _ = try await server.waitForEnd()
    }

    @Test func `is done when the server serves the new one, and tells it again until it does`() async throws {
        let fixture = try PublicationFixture()
        let port = try freePort()
        var configuration = fixture.configuration
        configuration.check = .init(address: "localhost:\(port)", spoken: .tls)
        let node = PublishingNode(fixture, configuration)
        let first = try fixture.renew()
        node.publisher.taken(first, ofRole: "database")
        #expect(node.member("state") != "served")
        node.publisher.taken(try fixture.authority.trust())
        try await node.comes { $0.codes == ["CERTIFICATE_NOT_CHECKED"] }
        #expect(try fixture.pair().leaf == first.leaf && fixture.reloads == 1)
        let old = try await server(fixture, port: port)
        try await node.comes { $0.member("state") == "served" && $0.codes == [] }
        #expect(node.member("served_serial") == first.leaf.serial)

        let second = try fixture.renew()
        node.publisher.taken(second, ofRole: "database")
        try await node.comes { $0.codes == ["CERTIFICATE_NOT_SERVED"] && fixture.reloads > 3 }
        #expect(node.health.snapshot.reasons.first?.detail.contains(second.leaf.serial) == true)
        #expect(node.delivered(.failure) > 0)
        try await end(old)
        let successes = node.delivered(.success)
        // One that demands a certificate of ours, and an old TLS, in which that ends the handshake.
        let new = try await server(
            fixture, port: port, ["-Verify", "1", "-tls1_2", "-CAfile", fixture.authority.trustPath])
        try await node.comes { $0.member("state") == "served" && $0.codes == [] }
        #expect(node.member("served_serial") == second.leaf.serial)
        #expect(node.delivered(.success) > successes)
        let name = "nodeguard_certificate_publications_total"
        #expect(node.metrics.openMetricsText.contains("\(name){role=\"database\",outcome=\"failure\"}"))
        try await end(new)
        await node.stop()
    }

    /// A window that is closed for days yet.
    private var closed: MaintenanceWindow {
        let today = ((TestClock.seconds / 86_400) + 3) % 7
        let days = MaintenanceWindow.Day(rawValue: Int((today + 3) % 7)).map { [$0] } ?? []
        return MaintenanceWindow([MaintenanceWindow.Span(days: days, begin: 60, end: 120)])
    }

    @Test func `waits for its window with all but the first, and goes when that is opened or a person says so`()
        async throws
    {
        let fixture = try PublicationFixture()
        var configuration = fixture.configuration
        configuration.window = closed
        let node = PublishingNode(fixture, configuration)
        node.publisher.taken(try fixture.authority.trust())
        let first = try fixture.renew()
        node.publisher.taken(first, ofRole: "database")
        try await node.comes { $0.member("state") == "written" }
        #expect(fixture.reloads == 1, "nobody has to wait for what was not there")
        let second = try fixture.renew()
        node.publisher.taken(second, ofRole: "database")
        try await node.comes { $0.member("state") == "postponed" && $0.codes == ["CERTIFICATE_POSTPONED"] }
        #expect(node.member("reason")?.hasPrefix("waits for its window until 20") == true)
        #expect(node.health.snapshot.state == .ready, "that is a remark, no trouble")
        // The unit, rung for by another role, does not take this one along.
        let unasked = try fixture.publication(configuration).run()
        #expect(unasked.postponedUntil != nil && !unasked.hasChanged && unasked.serial == first.leaf.serial)
        #expect(try fixture.pair().leaf == first.leaf && fixture.reloads == 1)
        await node.stop()

        // A daemon that begins anew waits, too.
        let again = PublishingNode(fixture, configuration)
        again.publisher.taken(try fixture.authority.trust())
        again.publisher.taken(second, ofRole: "database")
        try await again.comes { $0.member("state") == "postponed" }
        #expect(fixture.reloads == 1)
        #expect(try fixture.publication(configuration).run(isDemanded: true).outcome == .published)
        try await again.comes { $0.member("state") == "written" && $0.codes == [] }
        #expect(try fixture.pair().leaf == second.leaf && fixture.reloads == 2)
        let third = try fixture.renew()
        again.publisher.taken(third, ofRole: "database")
        try await again.comes { $0.member("state") == "postponed" }
        configuration.window = nil
        again.publisher.replace(["database": configuration])
        try await again.comes { $0.member("state") == "written" && $0.codes == [] }
        #expect(try fixture.pair().leaf == third.leaf)
        await again.stop()
    }

    @Test func `does not wait while little is left of what is there`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.authority.issue(
            name: "localhost", dnsNames: ["localhost"], usage: [.server, .client], validity: -86_400...7200)
        _ = try CertificateStore(role: "database", stateDirectory: fixture.statePath)
            .publish(try identity.tlsIdentity(), joinedWith: nil)
        var configuration = fixture.configuration
        configuration.window = closed
        #expect(try fixture.publication(configuration).run().outcome == .published)
        let second = try fixture.renew()
        let record = try fixture.publication(configuration).run()
        #expect(record.outcome == .published && record.hasChanged && record.serial == second.leaf.serial)
    }

    @Test func `waits neither with other authorities nor with what somebody ordered`() throws {
        let fixture = try PublicationFixture()
        var configuration = fixture.configuration
        configuration.window = closed
        try fixture.renew()
        #expect(try fixture.publication(configuration).run().outcome == .published)
        let second = try fixture.renew()
        #expect(try fixture.publication(configuration).run().postponedUntil != nil)
        try PublicationRecord.noteOrder(of: second.leaf.serial, "database", stateDirectory: fixture.statePath)
        let ordered = try fixture.publication(configuration).run()
        #expect(ordered.hasChanged && ordered.serial == second.leaf.serial && ordered.outcome == .published)
        let third = try fixture.renew()
        #expect(try fixture.publication(configuration).run().postponedUntil != nil, "the order was for one")
        // A change of root begins: its consumers must know both before the old one goes.
        let own = try fixture.authority.trust().certificates
        let both = try TrustAnchors(own + TestAuthority().trust().certificates)
        try TrustStore(stateDirectory: fixture.statePath).publish(
            StoredTrust(
                anchors: both, membership: Membership(url: "https://plane", cluster: "alpha", node: "db-1", pins: [])))
        let changed = try fixture.publication(configuration).run()
        #expect(changed.hasChanged && changed.serial == third.leaf.serial)
        let written = try Certificate.parsePEM(try Files.read(fixture.directory + "/root.crt", limit: 1 << 20))
        #expect(Set(written) == Set(both.certificates))
        try fixture.renew()
        #expect(try fixture.publication(configuration).run().postponedUntil != nil)
    }

    @Test func `goes another way from one moment to the next, or none`() async throws {
        let fixture = try PublicationFixture()
        let node = PublishingNode(fixture, fixture.configuration)
        node.publisher.taken(try fixture.authority.trust())
        let identity = try fixture.renew()
        node.publisher.taken(identity, ofRole: "database")
        try await node.comes { $0.member("state") == "written" }
        let other = fixture.directory + "-other"
        try Files.makeDirectory(other, mode: 0o755)
        var configuration = fixture.configuration
        configuration.directory = other
        configuration.names.authorities = nil
        node.publisher.replace(["database": configuration])
        try await node.comes { $0.member("state") == "written" && $0.member("directory") == other }
        #expect(try Files.list(other) == ["server.crt", "server.key"] && fixture.reloads == 2)
        #expect(try fixture.pair().leaf == identity.leaf, "what was there before stays, and is nobody's any more")
        configuration.directory = other + "/none"
        node.publisher.replace(["database": configuration])
        try await node.comes { $0.codes == ["CERTIFICATE_NOT_PUBLISHED"] }
        node.publisher.replace([:])
        try await node.comes { $0.codes == [] && $0.states["database"] == nil }
        node.publisher.taken(try fixture.renew(), ofRole: "database")
        node.publisher.replace(["database": fixture.configuration])
        try await node.comes { $0.member("state") == "written" }
        #expect(try fixture.pair().leaf != identity.leaf)
        await node.stop()
    }

    @Test func `says what keeps it from writing, and goes on when that is mended`() async throws {
        let fixture = try PublicationFixture()
        #expect(chmod(fixture.directory, 0o777) == 0)
        let node = PublishingNode(fixture, fixture.configuration)
        node.publisher.taken(try fixture.authority.trust())
        node.publisher.taken(try fixture.renew(), ofRole: "database")
        try await node.comes { $0.codes == ["CERTIFICATE_NOT_PUBLISHED"] && $0.member("state") == "failed" }
        #expect(node.health.snapshot.reasons.first?.detail.contains("everybody may write there") == true)
        #expect(chmod(fixture.directory, 0o755) == 0)
        try await node.comes { $0.codes == [] && $0.member("state") == "written" }
        #expect(node.delivered(.success) == 1 && fixture.reloads == 1)
        await node.stop()
    }

    @Test func `leaves it to a unit, hears how it went, and misses an answer that does not come`() async throws {
        let fixture = try PublicationFixture()
        var configuration = fixture.configuration
        configuration.publisher = .unit
        let node = PublishingNode(fixture, configuration)
        node.publisher.taken(try fixture.authority.trust())
        let first = try fixture.renew()
        node.publisher.taken(first, ofRole: "database")
        let request = fixture.statePath + "/publish/request"
        #expect(await eventually(within: 120) { Files.exists(request) })
        #expect(try Files.list(fixture.directory).isEmpty, "the daemon has no business there")
        #expect(node.member("state") == "publishing" && node.member("by") == "unit")
        #expect(try fixture.publication(configuration).run().outcome == .published)
        try await node.comes { $0.member("state") == "written" }
        #expect(node.delivered(.success) == 1)

        // Somebody goes back by hand: the daemon hears that, too, and does not ask again.
        let mark = FileMark(of: request)
        node.publisher.taken(try fixture.renew(), ofRole: "database")
        #expect(await eventually(within: 120) { FileMark(of: request) != mark })
        _ = try fixture.publication(configuration).run()
        try await node.comes { $0.member("state") == "written" }
        _ = try fixture.publication(configuration).undo()
        try await node.comes { $0.codes == ["CERTIFICATE_WITHHELD"] && $0.member("state") == "withheld" }
        #expect(try fixture.pair().leaf == first.leaf)
        await node.stop()
    }
}
