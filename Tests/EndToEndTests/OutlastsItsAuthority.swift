import Foundation
import TestSupport
import Testing

/// One agent whose certificates come from an EST server that shares no code with it, and one port that shows them.
private final class ESTNode: @unchecked Sendable {
    let server: ESTServer
    let folder: String
    let port: Int
    private(set) var agent: Program

    init(_ settings: [String: Any] = [:]) async throws {
        server = try await ESTServer(settings)
        folder = try temporaryFolder()
        port = try freePort()
        for path in ["node/join", "run"] {
            try FileManager.default.createDirectory(
                atPath: folder + "/" + path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        let configuration = """
            node: { name: db-1, cluster: alpha, state: \(folder)/node }
            management: { url: "\(server.url)", join: \(folder)/node/join/bundle }
            certificates:
              roles: [ { name: database, names: [localhost], addresses: [127.0.0.1], usage: [server, client] } ]
            proxy:
              listeners:
                - name: port
                  listen: ["127.0.0.1:\(port)"]
                  protocol: tcp
                  backend: 127.0.0.1:\(try freePort())
                  certificate: database
                  trust: [cluster]
                  allow: [ { common-name: shop } ]
            status: { socket: \(folder)/run/s, control: \(folder)/run/c, stream: \(folder)/run/t }

            """
        try configuration.write(toFile: folder + "/nodeguard.yaml", atomically: true, encoding: .utf8)
        let bundle = folder + "/node/join/bundle"
        try server.bundle().write(toFile: bundle, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: bundle)
        agent = try Self.start(folder)
    }

    deinit {
        agent.kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func start(_ folder: String) throws -> Program {
        try Program(Program.nodeguard, ["run", "--config", folder + "/nodeguard.yaml"], log: folder + "/nodeguard.log")
    }

    /// SIGKILL, and a new one.
    func restart() throws {
        agent.kill()
        agent = try Self.start(folder)
    }

    func renew() throws {
        let outcome = try Program.run(
            Program.nodeguard, ["certificates", "renew", "database", "--config", folder + "/nodeguard.yaml"])
        try #require(outcome.status == 0, "\(outcome)")
    }

    var status: [String: Any] {
        let answer = try? Program.run(
            "/usr/bin/curl", ["-sf", "--unix-socket", folder + "/run/s", "http://n/v1/status"])
        let json = answer.flatMap { try? JSONSerialization.jsonObject(with: Data($0.output.utf8)) }
        return json as? [String: Any] ?? [:]
    }

    var codes: [String] { (status["reasons"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String } }

    func shown(_ member: String, of role: String) -> String? {
        let section = status["certificates"] as? [String: Any]
        let rows = section?["roles"] as? [[String: Any]] ?? []
        return rows.first { $0["role"] as? String == role }?[member] as? String
    }

    /// As a client sees it; nil where nothing is served.
    var servedSerial: String? {
        let shown = try? Program.shell(
            """
            openssl s_client -connect 127.0.0.1:\(port) -CAfile \(server.folder.path)/root.pem -verify_return_error \
                -verify_hostname localhost </dev/null 2>/dev/null | openssl x509 -noout -serial
            """)
        return shown?.status == 0 || shown?.output.contains("serial=") == true ? shown?.output : nil
    }

    func waits(within seconds: Double = 40, _ condition: @escaping @Sendable () -> Bool) async throws {
        let holds = await eventually(within: seconds, condition)
        try #require(holds, "\(status)\n\(agent.log)")
    }
}

@Suite(.serialized) struct `An agent and a foreign EST server` {
    /// One of each kind; `CertificatesTests` has them all.
    private static let misbehaviours: [(mode: String, problem: String, code: String)] = [
        ("other-key", "bad_issue", "CERTIFICATE_UNUSABLE"), ("wrong-authority", "bad_issue", "CERTIFICATE_UNUSABLE"),
        ("expired-chain", "bad_issue", "CERTIFICATE_UNUSABLE"), ("replayed", "bad_issue", "CERTIFICATE_UNUSABLE"),
        ("garbage", "proto", "PLANE_ANSWER_UNUSABLE"), ("html", "proto", "PLANE_ANSWER_UNUSABLE"),
        ("endless", "proto", "PLANE_ANSWER_UNUSABLE"), ("redirect-away", "redirect", "PLANE_REDIRECTS"),
        ("status-500", "server", "PLANE_FAILING"), ("status-404", "config", "PLANE_CALL_UNKNOWN"),
        ("denied", "denied", "CERTIFICATE_DENIED"),
    ]

    @Test func `whatever the server does, the port goes on serving, and status, log and audit say what it was`()
        async throws
    {
        let node = try await ESTNode()
        try await node.waits { node.servedSerial != nil }
        let served = node.servedSerial
        for (mode, problem, code) in Self.misbehaviours {
            try node.server.set(["modes": ["alpha.database": mode]])
            try node.renew()
            try await node.waits {
                node.shown("last_error_class", of: "database") == problem && node.codes.contains(code)
            }
            #expect(node.servedSerial == served, "\(mode)")
            #expect(node.agent.log.contains("class=\(problem)"), "\(node.agent.log)")
        }
        let events = try Program.run(
            Program.nodeguard, ["audit", "tail", "-n", "500", "--config", node.folder + "/nodeguard.yaml"])
        for problem in Set(Self.misbehaviours.map(\.problem)) {
            let isTold = events.lines.contains { $0.contains("certificate.failed") && $0.contains(problem) }
            #expect(isTold, "\(problem): \(events)")
        }
        let folder = node.folder + "/node/certificates/database"
        let generations = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("g") }
        #expect(generations == ["g1"], "nothing of it was installed")
        try node.server.set(["modes": ["alpha.database": "extra-chain"]])
        try node.renew()
        try await node.waits { node.servedSerial.map { $0 != served } ?? false }
        #expect(node.shown("last_error_class", of: "database") == nil)
    }

    @Test func `a request that waits for approval survives SIGKILL, its key and its token with it`() async throws {
        let node = try await ESTNode(["modes": ["alpha": "pending"], "retry_after": "2"])
        try await node.waits { node.shown("state", of: "node") == "pending" }
        for _ in 0..<3 {
            let before = node.server.count("simpleenroll")
            try node.restart()
            try await node.waits { node.server.count("simpleenroll") > before }
        }
        try node.server.set(["modes": [:]])
        try await node.waits { node.servedSerial != nil }
        let requests = node.server.requests("alpha/simpleenroll")
        #expect(requests.count >= 5 && requests.allSatisfy { $0.hasPassword && $0.valid == true })
        #expect(Set(requests.compactMap(\.request)).count == 1, "it is one and the same request")
        #expect(!FileManager.default.fileExists(atPath: node.folder + "/node/join/bundle"))
    }
}
