import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `Joining an EST server` {
    private func joined(_ settings: [String: Any] = [:]) async throws -> (ESTServer, Node) {
        let server = try await ESTServer(settings)
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        let node = Node(state, url: server.url)
        await node.start()
        return (server, node)
    }

    @Test func `gives the node its identity and each role its certificate, and spends the bundle`() async throws {
        let (server, node) = try await joined()
        try await node.waits { $0.isReady && !$0.said.nodeIdentities.isEmpty }
        let identity = try #require(node.said.nodeIdentities.last?.leaf)
        #expect(identity.commonNames == ["db-1"])
        #expect(identity.uris == ["spiffe://alpha/node/db-1"])
        let role = try #require(node.said.identities["database"]?.last)
        #expect(Set(role.leaf.dnsNames) == ["db-1.example", "localhost"])
        #expect(role.chain.count == 2, "leaf and intermediate, no root")
        #expect(node.said.memberships.map(\.cluster) == ["alpha"])
        #expect(!FileManager.default.fileExists(atPath: node.state.file("bundle")))

        let requests = server.requests
        #expect(requests.filter(\.hasPassword).count == 1, "the token is sent once")
        #expect(
            requests.filter(\.hasPassword).allSatisfy { $0.client == nil && $0.path.hasSuffix("alpha/simpleenroll") })
        #expect(requests.last { $0.path.hasSuffix("alpha.database/simpleenroll") }?.client != nil)
        #expect(requests.compactMap(\.valid).allSatisfy { $0 })
        #expect(node.events(.certificateEnrolled).count == 2)
        #expect(node.events(.certificatePublished).count == 2)
        #expect(node.events(.trustChanged).count == 1)
        await node.stop()
    }

    @Test(arguments: ["", "join@cluster"])
    func `brings the user's name that some servers want beside the token`(user: String) async throws {
        let server = try await ESTServer()
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        let node = Node(state, url: server.url, user: user)
        await node.start()
        try await node.waits { $0.isReady }
        await node.stop()
        #expect(server.requests.compactMap(\.user) == [user], "once, with the token")
    }

    @Test func `keeps the token out of every file, event, reason and metric`() async throws {
        let (server, node) = try await joined(["mode": "echo"])
        try await node.waits { $0.codes.contains("JOIN_TOKEN_REFUSED") }
        try server.set(["mode": "ok"])
        try await node.waits { $0.isReady }
        let left = allFiles(in: node.state.path).filter { $0.bytes.range(of: Data(ESTServer.token.utf8)) != nil }
        #expect(left.map(\.path) == [])
        let words = "\(node.said.events) \(node.health.snapshot) \(node.metrics.openMetricsText)"
        #expect(!words.contains(ESTServer.token))
        #expect(words.contains("(the token)"), "the server's words are shown, without the token in them")
        await node.stop()
    }

    @Test func `never sends the token to a server whose root is not the pinned one`() async throws {
        let server = try await ESTServer()
        let state = try TemporaryDirectory()
        let wrong = "sha256:" + String(repeating: "ab", count: 32)
        try state.write(try server.bundle(pins: [wrong]), to: "bundle")
        let node = Node(state, url: server.url)
        await node.start()
        try await node.waits { $0.codes.contains("JOIN_PIN_MISMATCH") && $0.events(.certificateFailed).count >= 3 }
        #expect(server.requests.count >= 3)
        #expect(server.requests.allSatisfy { !$0.hasPassword && $0.path.hasSuffix("/cacerts") })
        #expect(node.detail("JOIN_PIN_MISMATCH")?.contains(server.pin) == true, "it says what it found instead")

        // The token is still good; the right bundle is taken up without a restart.
        try state.write(try server.bundle(), to: "bundle")
        try await node.waits { $0.isReady }
        #expect(!node.codes.contains("JOIN_PIN_MISMATCH"))
        await node.stop()
    }

    @Test func `trusts the pinned root and the verified chain alone, whatever else the plane hands out`() async throws {
        let (server, node) = try await joined(["cacerts": "pretender"])
        try await node.waits { $0.isReady }
        let trust = try #require(node.said.trusts.last)
        #expect(Set(trust.certificates.map(\.subject)) == ["CN=Root", "CN=Issuing"])
        let root = try #require(try Certificate.parsePEM(server.root).first)
        #expect(trust.certificates.filter { $0.subject == "CN=Root" } == [root])
        await node.stop()
    }

    @Test func `asks for another bundle when the token is spent, and sends it no more`() async throws {
        let (server, node) = try await joined(["spent": true])
        try await node.waits { $0.codes.contains("JOIN_TOKEN_REFUSED") }
        let sent = server.requests.count(where: \.hasPassword)
        #expect(sent == 1)
        #expect(FileManager.default.fileExists(atPath: node.state.file("bundle")), "it is the operator's to remove")
        #expect(await !eventually(within: 20) { server.requests.count(where: \.hasPassword) > sent })
        await node.stop()
    }

    @Test func `holds nothing against a bundle that came while an earlier one was refused`() async throws {
        let (server, node) = try await joined(["modes": ["alpha": "held"]])
        try await node.waits { _ in server.requests.contains(where: \.hasPassword) }
        let first = try #require(await node.renewer.joining?.digest)
        try node.state.write(try server.bundle(token: "another"), to: "bundle")
        let isTaken = await eventually(within: 30) { await node.renewer.joining.map { $0.digest != first } == true }
        #expect(isTaken)
        try server.set(["token": "another", "modes": [:]])
        try await node.waits { $0.isReady }
        #expect(!node.codes.contains("JOIN_TOKEN_REFUSED"))
        #expect(await node.renewer.ledger.refusals(ofToken: first) == 1)
        await node.stop()
    }

    @Test func `repeats the same key when the answer is lost, so that the spent token still works`() async throws {
        let (server, node) = try await joined(["modes": ["alpha": "lost"]])
        try await node.waits { _ in server.count("simpleenroll") >= 2 }
        await node.stop()
        try server.set(["modes": [:]])
        // Not even a restart in between makes another key.
        let again = Node(node.state, url: server.url)
        await again.start()
        try await again.waits { $0.isReady }
        let keys = Set(server.requests.filter { $0.path.hasSuffix("alpha/simpleenroll") }.compactMap(\.key))
        #expect(keys.count == 1)
        #expect(!FileManager.default.fileExists(atPath: node.state.file("certificates/node/request")))
        await again.stop()
    }

    @Test(arguments: ["nodeguard-join:1:@@@", "hello", ""])
    func `says what is wrong with a bundle, and takes up a better one`(text: String) async throws {
        let server = try await ESTServer()
        let state = try TemporaryDirectory()
        try state.write(text, to: "bundle")
        let node = Node(state, url: server.url)
        await node.start()
        try await node.waits { $0.codes.contains("JOIN_BUNDLE_UNREADABLE") }
        #expect(node.health.snapshot.state == .starting)
        #expect(server.requests.isEmpty)
        try state.write(try server.bundle(), to: "bundle")
        try await node.waits { $0.isReady }
        #expect(!node.codes.contains("JOIN_BUNDLE_UNREADABLE"))
        await node.stop()
    }

    @Test func `refuses another node's bundle`() async throws {
        let server = try await ESTServer()
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(node: "db-2"), to: "bundle")
        let node = Node(state, url: server.url)
        await node.start()
        try await node.waits { $0.codes.contains("JOIN_BUNDLE_MISMATCH") }
        #expect(server.requests.isEmpty)
        await node.stop()
    }

    @Test func `waits for a plane that is away, and for a bundle that is not there`() async throws {
        let state = try TemporaryDirectory()
        let absent = Node(state, url: "https://127.0.0.1:\(try freePort())")
        await absent.start()
        try await absent.waits { $0.codes.contains("JOIN_BUNDLE_MISSING") }
        let server = try await ESTServer()
        try state.write(try server.bundle(), to: "bundle")
        try await absent.waits { $0.codes.contains("PLANE_UNREACHABLE") }
        #expect(absent.health.snapshot.state == .starting)
        await absent.stop()
        let node = Node(state, url: server.url)
        await node.start()
        try await node.waits { $0.isReady }
        await node.stop()
    }

    @Test func `says that the clock is wrong when it differs from the plane's`() async throws {
        let (server, node) = try await joined(["date_offset": 86_400])
        try await node.waits { $0.codes.contains("CLOCK_SKEW") }
        #expect(node.detail("CLOCK_SKEW")?.contains("behind") == true)
        #expect(server.count("cacerts") >= 1)
        await node.stop()
    }

    @Test func `does not join again after a restart`() async throws {
        let (server, node) = try await joined()
        try await node.waits { $0.isReady }
        await node.stop()
        let before = server.requests.count
        server.stop()
        let again = Node(node.state, url: server.url)
        await again.start()
        #expect(again.isReady, "what lies on the disk is in service at once, without the plane")
        #expect(again.said.identities["database"]?.last?.leaf == node.said.identities["database"]?.last?.leaf)
        #expect(again.said.nodeIdentities.last?.leaf == node.said.nodeIdentities.last?.leaf)
        await again.stop()
        #expect(server.requests.count == before)
    }
}
