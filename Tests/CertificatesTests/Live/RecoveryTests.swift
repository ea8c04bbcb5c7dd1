import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `A request that was deferred` {
    private static let other = RoleNames(dnsNames: ["other.example"], addresses: [], uris: [])

    private func deferred() async throws -> (ESTServer, Node) {
        let server = try await ESTServer(["modes": ["alpha.database": "pending"], "retry_after": "86400"])
        let node = Node(try temporaryDirectory(), url: server.url)
        try node.state.write(try server.bundle(), to: "bundle")
        await node.start()
        try await node.waits { $0.codes.contains("CERTIFICATE_PENDING") && $0.shown("state") == "pending" }
        return (server, node)
    }

    @Test func `is given up when the role is to be called otherwise`() async throws {
        let (server, node) = try await deferred()
        try server.set(["modes": [:]])
        await node.renewer.adopt(names: ["database": Self.other])
        try await node.waits { $0.served().last?.leaf.dnsNames == ["other.example"] }
        #expect(!node.codes.contains("CERTIFICATE_PENDING"))
        let requests = server.requests("alpha.database/simpleenroll")
        #expect(requests.count == 2 && requests[0].key != requests[1].key, "another request, with a key of its own")
        await node.stop()
    }

    @Test func `is given up when the role is called otherwise after a restart, and else is not`() async throws {
        let (server, node) = try await deferred()
        await node.stop()
        try server.set(["modes": [:]])
        let same = Node(node.state, url: server.url)
        await same.start()
        try await same.waits { $0.shown("state") == "pending" }
        #expect(server.requests("alpha.database/simpleenroll").count == 1)
        await same.stop()
        let role = RoleConfiguration(
            name: "database",
            source: .enrolled(dnsNames: ["other.example"], addresses: [], uris: [], server: true, client: false))
        let changed = Node(node.state, url: server.url, roles: [role])
        await changed.start()
        try await changed.waits { $0.served().last?.leaf.dnsNames == ["other.example"] }
        await changed.stop()
    }
}

@Suite(.serialized) struct `A node that gets no certificate at once` {
    private func sent(_ server: ESTServer) -> [String] {
        server.requests("alpha.database/simpleenroll").dropFirst().compactMap(\.request)
    }

    @Test(arguments: ["1", nil])
    func `sends the same request again after a 202, as often as it is told to`(pause: String?) async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        try server.set(["modes": ["alpha.database": "pending"], "retry_after": pause ?? NSNull()])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.shown("state") == "pending" && $0.codes.contains("CERTIFICATE_PENDING") }
        #expect(node.isReady && node.health.snapshot.state == .ready, "what is served is good; waiting is no trouble")
        if pause != nil {
            try await node.waits { _ in sent(server).count >= 3 }
        } else {
            #expect(node.detail("CERTIFICATE_PENDING") != nil && sent(server).count == 1, "300 s where it is not said")
        }
        #expect(Set(sent(server)).count == 1)
        try server.set(["modes": [:]])
        #expect(await node.renewer.renew(role: "database") == .begun, "an operator need not wait")
        try await node.waits { $0.served().count == 2 }
        #expect(Set(sent(server)).count == 1, "it was that request that was approved")
        #expect(!node.codes.contains("CERTIFICATE_PENDING"))
        #expect(node.events(.certificateFailed).isEmpty, "waiting is no failure")
        await node.stop()
    }

    @Test func `still waits after a restart, until the date that it was told`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        let inAnHour = Date(timeIntervalSinceNow: 3600)
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        try server.set(["modes": ["alpha.database": "pending"], "retry_after": format.string(from: inAnHour)])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.shown("state") == "pending" }
        await node.stop()
        #expect(sent(server).count == 1)

        let again = Node(node.state, url: server.url)
        await again.start()
        try await again.waits { $0.shown("state") == "pending" && $0.codes.contains("CERTIFICATE_PENDING") }
        #expect(await again.renewer.renew(role: "node") == .begun)
        try await again.waits { $0.said.nodeIdentities.count == 2 }
        #expect(sent(server).count == 1, "nor does another identity make it ask earlier")
        try server.set(["modes": [:]])
        #expect(await again.renewer.renew(role: "database") == .begun)
        try await again.waits { $0.served().count == 2 }
        #expect(Set(sent(server)).count == 1 && sent(server).count == 2)
        await again.stop()
    }

    @Test func `takes a new root of the pinned key after a while, and not before`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready(rebootstrapDelay: 3600)
        try server.set(["root_name": "Root 2"])
        try await server.restart()
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.shown("last_error_class") == "tls_peer" && $0.events(.certificateFailed).count >= 2 }
        #expect(node.said.trusts.count == 1 && node.isReady)
        await node.stop()

        let again = Node(node.state, url: server.url, rebootstrapDelay: 1)
        await again.start()
        #expect(await again.renewer.renew(role: "database") == .begun)
        try await again.waits { $0.served().count == 2 }
        let subjects = Set((again.said.trusts.last?.certificates ?? []).map(\.subject))
        #expect(
            subjects.isSuperset(of: ["CN=Root", "CN=Root 2"]), "the old one stays: certificates in service need it")
        #expect(!again.codes.contains("PLANE_UNTRUSTED"))
        await again.stop()
    }

    @Test func `takes a root of another key never, however long it waits`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready(rebootstrapDelay: 0)
        for name in ["ca-root.pem", "ca-issuing-Root.pem"] {
            try FileManager.default.removeItem(atPath: server.folder.file(name))
        }
        try await server.restart()
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.events(.certificateFailed).count >= 4 }
        #expect(node.shown("last_error_class") == "tls_peer" && node.isReady)
        #expect(node.said.trusts.count == 1)
        #expect(server.requests.suffix(3).allSatisfy { $0.path.hasSuffix("cacerts") && $0.client == nil })
        await node.stop()
    }

    @Test func `sends a refused token five times, over restarts, and then no more`() async throws {
        let server = try await ESTServer(["mode": "echo"])
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        func refusals() throws -> Int {
            var ledger = IssuanceLedger(stateDirectory: state.path)
            _ = try ledger.load()
            return ledger.refusals(ofToken: Hexadecimal.text(Digest.sha256(Array(ESTServer.token.utf8))))
        }
        let first = Node(state, url: server.url)
        await first.start()
        try await first.waits { $0.events(.certificateFailed).count >= 2 }
        await first.stop()
        let known = try refusals()
        #expect((2...5).contains(known))
        let before = server.requests.count(where: \.hasPassword)
        let second = Node(state, url: server.url)
        await second.start()
        try await second.waits { _ in (try? refusals()) == 5 }
        try await second.waits { $0.codes.contains("JOIN_TOKEN_REFUSED") }
        #expect(await !eventually(within: 1) { server.requests.count(where: \.hasPassword) > before + 5 - known })
        #expect(server.requests.count(where: \.hasPassword) == before + 5 - known)
        await second.stop()

        let sent = server.requests.count(where: \.hasPassword)
        let last = Node(state, url: server.url)
        await last.start()
        try await last.waits { $0.codes.contains("JOIN_TOKEN_REFUSED") }
        #expect(await !eventually(within: 1) { server.requests.count(where: \.hasPassword) > sent })
        try server.set(["mode": "ok", "token": "another-token"])
        try state.write(try server.bundle(token: "another-token"), to: "bundle")
        try await last.waits { $0.isReady }
        #expect(!last.codes.contains("JOIN_TOKEN_REFUSED"))
        await last.stop()
    }

    @Test func `does not take a wrong clock for a refusal`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        try server.set(["modes": ["alpha": "status-401"], "date_offset": -86_400])
        #expect(await node.renewer.renew(role: "node") == .begun)
        try await node.waits { $0.codes.contains("CLOCK_SKEW_REFUSED") && $0.codes.contains("CLOCK_SKEW") }
        #expect(node.shown("last_error_class", of: "node") == "skew" && node.shown("state", of: "node") != "rejected")
        #expect(node.detail("CLOCK_SKEW_REFUSED")?.contains("ahead of") == true)
        try server.set(["modes": [:], "date_offset": 0])
        try await node.waits { $0.said.nodeIdentities.count == 2 && !$0.codes.contains("CLOCK_SKEW_REFUSED") }
        await node.stop()
    }

    @Test func `waits for a certificate that begins a little later, and asks for no other`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        // The server's certificates begin five seconds before its time, otherwise.
        try server.set(["ahead": 8])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.served().count == 2 }
        let failures = node.events(.certificateFailed)
        #expect(failures.isEmpty && sent(server).count == 1, "\(failures)")
        try server.set(["ahead": 1000])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.shown("last_error_class") == "skew" && $0.codes.contains("CLOCK_SKEW") }
        #expect(node.detail("CLOCK_SKEW_REFUSED")?.contains("behind") == true)
        #expect(node.served().count == 2 && node.isReady)
        await node.stop()
    }

    @Test func `never shows an expired identity, and takes a new bundle without a restart`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready(["lifetime": 10])
        try server.set(["modes": ["alpha": "busy", "alpha.database": "busy"]])
        try await node.waits(within: 60) {
            $0.shown("state", of: "node") == "expired" && $0.codes.contains("JOIN_BUNDLE_MISSING")
        }
        let expired = node.said.nodeIdentities.last?.leaf.serial
        let before = server.requests.count
        try server.set(["modes": [:], "token": "second-token", "lifetime": 3600])
        try node.state.write(try server.bundle(token: "second-token"), to: "bundle")
        try await node.waits { $0.isReady && $0.shown("state", of: "node") == "active" }
        let later = server.requests.dropFirst(before)
        #expect(later.filter(\.hasPassword).allSatisfy { $0.client == nil } && later.count(where: \.hasPassword) == 1)
        #expect(node.said.nodeIdentities.last?.leaf.serial != expired)
        #expect(!FileManager.default.fileExists(atPath: node.state.file("bundle")))
        await node.stop()
    }
}
