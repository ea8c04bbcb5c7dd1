import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `Renewing at an EST server` {
    private func ready(_ settings: [String: Any] = [:], keyKind: KeyKind = .ecP256) async throws -> (ESTServer, Node) {
        let server = try await ESTServer(settings)
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        let node = Node(state, url: server.url, keyKind: keyKind)
        await node.start()
        try await node.waits { $0.isReady && !$0.said.nodeIdentities.isEmpty }
        return (server, node)
    }

    @Test func `happens in time, with a new key, and puts a new generation into service`() async throws {
        // Two thirds of these lives are over before the test is.
        let (server, node) = try await ready(["lifetime": 12])
        try await node.waits {
            ($0.said.identities["database"]?.count ?? 0) >= 2 && $0.said.nodeIdentities.count >= 2
        }
        await node.stop()
        #expect(server.count("simplereenroll") >= 1)
        let reenrolled = server.requests.filter { $0.path.hasSuffix("simplereenroll") }
        #expect(reenrolled.allSatisfy { $0.client != nil && !$0.hasPassword })
        let roles = node.said.identities["database"] ?? []
        #expect(Set(roles.map(\.leaf.publicKeySHA256)).count == roles.count, "each has its own key")
        let nodes = node.said.nodeIdentities.map(\.leaf)
        #expect(Set(nodes.map(\.subjectDER)).count == 1)
        #expect(Set(nodes.map(\.subjectAlternativeNameDER)).count == 1, "a renewal keeps every byte of the names")
        #expect(node.events(.certificateRenewed).count >= 2)
        #expect(node.metrics.openMetricsText.contains("nodeguard_certificate_renewals_total{role=\"database\"}"))
    }

    @Test func `can be asked for, and says when it cannot be done`() async throws {
        let (server, node) = try await ready()
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.said.identities["database"]?.count == 2 }
        #expect(await node.renewer.renew(role: "node") == .begun)
        try await node.waits { $0.said.nodeIdentities.count == 2 }
        #expect(await node.renewer.renew(role: "nothing") == .unknownRole)
        await node.stop()
        #expect(server.count("simplereenroll") == 1)
    }

    @Test func `leaves the ports alone while the plane is away`() async throws {
        let (server, node) = try await ready()
        server.stop()
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.codes.contains("PLANE_UNREACHABLE") }
        #expect(node.isReady)
        #expect(node.health.snapshot.state == .degraded)
        #expect(node.said.identities["database"]?.count == 1)
        await node.stop()
    }

    @Test func `says that a certificate has expired when nothing helped`() async throws {
        let (server, node) = try await ready(["lifetime": 8])
        server.stop()
        try await node.waits { !$0.isReady }
        #expect(node.codes.contains("CERTIFICATE_EXPIRED"))
        #expect(node.health.snapshot.state == .failed)
        await node.stop()
    }

    @Test func `asks again at once when the configuration wants other names`() async throws {
        let (server, node) = try await ready()
        await node.stop()
        let role = RoleConfiguration(
            name: "database",
            source: .enrolled(dnsNames: ["other.example"], addresses: [], uris: [], server: true, client: false))
        let changed = Node(node.state, url: server.url, roles: [role])
        await changed.start()
        try await changed.waits { $0.said.identities["database"]?.last?.leaf.dnsNames == ["other.example"] }
        await changed.stop()
    }

    @Test(arguments: [KeyKind.ecP384, .rsa3072])
    func `works with every kind of key`(kind: KeyKind) async throws {
        let (server, node) = try await ready(keyKind: kind)
        let leaf = node.said.identities["database"]?.last?.leaf
        #expect(leaf?.keyKind == (kind == .rsa3072 ? .rsa : .ellipticCurve))
        await node.stop()
        #expect(server.count("simpleenroll") == 2)
    }

    @Test func `goes on from the generation before when the newest is damaged`() async throws {
        let (server, node) = try await ready()
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.said.identities["database"]?.count == 2 }
        await node.stop()
        try node.state.write("nonsense", to: "certificates/database/g2/chain.pem")
        let again = Node(node.state, url: server.url)
        await again.renewer.start()
        #expect(again.isReady)
        #expect(again.said.identities["database"]?.last?.leaf == node.said.identities["database"]?.first?.leaf)
        #expect(again.codes.contains("CERTIFICATE_QUARANTINED"))
        #expect(again.events(.stateQuarantined).count == 1)
    }
}
