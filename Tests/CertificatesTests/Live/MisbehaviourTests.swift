import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `Whatever an EST server does` {
    static func ready(
        _ settings: [String: Any] = [:], timeout: Duration = .seconds(60),
        limits: IssuanceLimits = IssuanceLimits(hourly: 1000, daily: 1000), rebootstrapDelay: Double = 600
    ) async throws -> (ESTServer, Node) {
        let server = try await ESTServer(settings)
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        let node = Node(
            state, url: server.url, timeout: timeout, limits: limits, rebootstrapDelay: rebootstrapDelay)
        await node.start()
        try await node.waits { $0.isReady && !$0.said.nodeIdentities.isEmpty }
        return (server, node)
    }

    /// What it does, the class that this is, and the code among the reasons.
    private static let misbehaviours: [(modes: [String], problem: String, code: String)] = [
        (
            [
                "other-key", "authority", "extra-name", "no-names", "no-usage", "foreign-usage", "expired",
                "wrong-authority", "expired-chain", "replayed",
            ], "bad_issue", "CERTIFICATE_UNUSABLE"
        ),
        (
            [
                "garbage", "noise", "empty", "der", "der-bag", "html", "no-type", "armoured", "private-key", "endless",
                "status-413",
            ], "proto", "PLANE_ANSWER_UNUSABLE"
        ),
        (["denied"], "denied", "CERTIFICATE_DENIED"), (["status-401"], "auth", "NODE_IDENTITY_REFUSED"),
        (["status-400", "status-415", "status-422", "words", "problem"], "request", "CERTIFICATE_REQUEST_REFUSED"),
        (["status-404", "status-405", "status-406", "status-501", "status-303"], "config", "PLANE_CALL_UNKNOWN"),
        (
            ["redirect-loop", "redirect-away", "redirect-plain", "redirect-nowhere"], "redirect", "PLANE_REDIRECTS"
        ), (["busy", "status-429"], "throttle", "PLANE_BUSY"), (["status-409", "status-423"], "busy", "PLANE_BUSY"),
        (["status-500", "status-502", "status-504"], "server", "PLANE_FAILING"),
        (["lost", "slow-drip"], "unreachable", "PLANE_UNREACHABLE"),
    ]

    @Test(arguments: misbehaviours)
    func `the agent goes on serving, installs nothing of it, and says what it is`(
        modes: [String], problem: String, code: String
    ) async throws {
        let (server, node) = try await Self.ready(timeout: modes.contains("slow-drip") ? .seconds(5) : .seconds(60))
        for mode in modes {
            let served = node.served().count
            let leaf = node.served().last?.leaf
            let failures = node.events(.certificateFailed).count
            try server.set(["modes": ["alpha.database": mode]])
            #expect(await node.renewer.renew(role: "database") == .begun)
            try await node.waits { $0.codes.contains(code) && $0.shown("last_error_class") == problem }
            #expect(node.served().last?.leaf == leaf && node.isReady, "\(mode): the ports go on serving")
            let events = node.events(.certificateFailed).dropFirst(failures)
            #expect(!events.isEmpty && events.allSatisfy { $0.fields["class"] == .string(problem) }, "\(mode)")
            try server.set(["modes": [:]])
            #expect(await node.renewer.renew(role: "database") == .begun)
            try await node.waits { $0.served().count > served }
            try await node.waits { !$0.codes.contains(code) && $0.shown("last_error_class") == nil }
        }
        await node.stop()
        let files = allFiles(in: node.state.path).map(\.path)
        #expect(!files.contains { $0.hasPrefix("quarantine/") }, "\(files)")
        if modes.contains("endless") {
            let sent = server.requests.compactMap(\.sent)
            #expect(sent.count >= 1 && sent.allSatisfy { $0 < 64 << 20 }, "of 10 GiB it takes its 256 KiB: \(sent)")
        }
    }

    @Test func `and however oddly it says what is right, it is understood`() async throws {
        let (server, node) = try await Self.ready()
        let statuses = [301, 302, 307, 308].map { (mode: "redirect-here", status: $0) }
        let modes = ["ber", "spaced", "chunked", "drip", "extra-chain"].map { (mode: $0, status: 307) }
        for (mode, status) in modes + statuses {
            let served = node.served().count
            try server.set(["modes": ["alpha.database": mode], "redirect_status": status])
            #expect(await node.renewer.renew(role: "database") == .begun)
            try await node.waits { $0.served().count > served }
            #expect(node.served().last?.chain.map(\.subject).last == "CN=Issuing", "\(mode)")
        }
        #expect(node.events(.certificateFailed).isEmpty, "\(node.events(.certificateFailed))")
        await node.stop()
        let trust = try #require(node.said.trusts.last)
        #expect(Set(trust.certificates.map(\.subject)) == ["CN=Root", "CN=Issuing"])
    }

    @Test func `its words are told, and can forge no line`() async throws {
        let (server, node) = try await Self.ready(["modes": ["alpha.database": "ok"]])
        try server.set(["modes": ["alpha.database": "words"]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.codes.contains("CERTIFICATE_REQUEST_REFUSED") }
        let detail = node.detail("CERTIFICATE_REQUEST_REFUSED") ?? ""
        #expect(detail.contains("(thesubject is [2Jnot allowed)"), "\(detail)")
        // The request is made anew once, then the same is sent.
        try await node.waits { _ in server.requests("alpha.database/simpleenroll").count >= 5 }
        await node.stop()
        let sent = server.requests("alpha.database/simpleenroll").dropFirst().compactMap(\.request)
        #expect(Set(sent).count == 2 && Set(sent.dropFirst()).count == 1, "\(sent)")
    }

    @Test func `a request that it refuses becomes another when it wishes for another`() async throws {
        let (server, node) = try await Self.ready()
        try server.set(["modes": ["alpha.database": "status-400"]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { _ in server.requests("alpha.database/simpleenroll").count >= 4 }
        // ecPublicKey secp384r1
        try server.set(["attributes": ["alpha.database": "MBQwEgYHKoZIzj0CATEHBgUrgQQAIg=="]])
        try await node.waits { _ in server.requests("alpha.database/simpleenroll").last?.kind == "secp384r1" }
        try server.set(["modes": [:]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.served().count == 2 }
        await node.stop()
    }

    @Test func `it does not make the agent ask for ever: three certificates in an hour`() async throws {
        let (server, node) = try await Self.ready(limits: .standard)
        try server.set(["modes": ["alpha.database": "other-key"]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.codes.contains("CERTIFICATE_ISSUE_LIMIT") }
        #expect(node.shown("state") == "limited" && node.isReady)
        let count = server.requests("alpha.database/simpleenroll").count
        #expect(count == 3)
        await node.stop()

        let again = Node(node.state, url: server.url, limits: .standard)
        await again.start()
        #expect(await !eventually(within: 1) { server.requests("alpha.database/simpleenroll").count > count })
        try server.set(["modes": [:]])
        #expect(await again.renewer.renew(role: "database") == .begun)
        try await again.waits { $0.served().count == 2 }
        #expect(!again.codes.contains("CERTIFICATE_UNUSABLE"))
        await again.stop()
    }

    @Test func `nor does a first certificate that is never good; an operator can ask once more`() async throws {
        let server = try await ESTServer(["modes": ["alpha.database": "other-key"]])
        let state = try TemporaryDirectory()
        try state.write(try server.bundle(), to: "bundle")
        let node = Node(state, url: server.url, limits: .standard)
        await node.start()
        try await node.waits { $0.codes.contains("CERTIFICATE_ISSUE_LIMIT") }
        #expect(node.shown("state") == "limited" && !node.isReady)
        #expect(server.requests("alpha.database/simpleenroll").count == 3)
        try server.set(["modes": [:]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.isReady && !$0.codes.contains("CERTIFICATE_ISSUE_LIMIT") }
        #expect(server.requests("alpha.database/simpleenroll").count == 4)
        await node.stop()
    }

    @Test func `a certificate that is old when it comes is told of, and makes no loop`() async throws {
        let (server, node) = try await Self.ready(limits: .standard)
        try server.set(["modes": ["alpha.database": "old"]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.codes.contains("CERTIFICATE_OLD_ON_ARRIVAL") && $0.served().count == 2 }
        #expect(await !eventually(within: 1) { node.served().count > 2 })
        #expect(node.isReady)
        await node.stop()
        #expect(server.requests("alpha.database/simpleenroll").count == 2)
    }
}
