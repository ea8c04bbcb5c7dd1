import Foundation
import TestSupport
import Testing

/// A node all of whose keys are in a token, beside one listener whose key is in a file.
private final class TokenFleet {
    let fleet: Fleet
    let filePort: Int
    private let environment: [String: String]

    init(store: String, environment: [String: String] = [:]) async throws {
        self.environment = environment
        fleet = try await Fleet(start: false)
        filePort = try freePort()
        try fleet.command([
            "role", "allow", "--cluster", Fleet.cluster, "--node", Fleet.node, "--role", "plain", "--dns", "localhost",
            "--usage", "server",
        ])
        let listener = """
                - name: plain
                  listen: ["127.0.0.1:\(filePort)"]
                  protocol: postgres
                  backend: 127.0.0.1:\(fleet.postgres.port)
                  certificate: plain
                  trust: [cluster]
                  allow: [ { uri: "spiffe://\(Fleet.cluster)/app/*" } ]
            backups:
            """
        let text = fleet.configuration
            .replacing("\nbackups:", with: "\n" + listener)
            .replacing("certificates:\n", with: "certificates:\n  key: { store: \"\(store)\" }\n")
            .replacing(
                "usage: [server, client] } ]",
                with: "usage: [server, client] }, { name: plain, names: [localhost], key: { store: file } } ]")
        try text.write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try await start()
    }

    func start() async throws {
        try fleet.startAgent(environment: environment)
        try await fleet.waitUntilReady()
    }

    func psql(plain: Bool = false) throws -> Outcome {
        let connection = fleet.connection(as: "shop").replacing(
            "port=\(fleet.listenPort)", with: "port=\(plain ? filePort : fleet.listenPort)")
        return try Program.run("/usr/bin/psql", ["-XAtq", "-d", connection, "-c", "select 1"])
    }

    var isServing: Bool { (try? psql().output) == "1\n" }

    var codes: [String] {
        ((try? fleet.status())?["reasons"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String }
    }

    func certificates() throws -> [[String: Any]] {
        let shown = try fleet.nodeguard(["certificates", "--json"])
        let json = try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any]
        return try #require(json?["roles"] as? [[String: Any]])
    }

    func generation(of role: String) -> Int? {
        (try? certificates())?.first { $0["role"] as? String == role }?["generation"] as? Int
    }

    func renew(_ role: String) async throws {
        let before = generation(of: role) ?? 0
        let asked = try fleet.nodeguard(["certificates", "renew", role])
        try #require(asked.status == 0, "\(asked)")
        let isRenewed = await eventually(within: 60) { [self] in (generation(of: role) ?? 0) > before }
        try #require(isRenewed, "\(fleet.agent.log)")
    }

    func files(named name: String) throws -> [String] {
        try Program.shell("find \(fleet.folder)/node -name \(name)").lines.map(String.init)
    }
}

extension TokenFleet: @unchecked Sendable {}

@Suite(.serialized) struct `A node with its keys in a token` {
    @Test func `enrols, serves, renews and restarts, and each key that is not needed is destroyed there`() async throws
    {
        let tokens = try TestTokens()
        try tokens.make("node")
        let node = try await TokenFleet(store: tokens.store("node"), environment: tokens.environment)
        #expect(try node.psql().output == "1\n")
        #expect(try node.psql(plain: true).output == "1\n")
        let places = try node.certificates().map { "\($0["role"] ?? "") \($0["key_store"] ?? "")" }
        #expect(places.sorted() == ["database pkcs11:token=node", "node pkcs11:token=node", "plain file"])
        let keyFiles = try node.files(named: "key.pem")
        #expect(keyFiles.allSatisfy { $0.contains("/plain/") } && !keyFiles.isEmpty, "\(keyFiles)")
        let first = try tokens.keys("node")
        #expect(first.count == 2, "\(first)")

        for _ in 0..<3 { try await node.renew("database") }
        try await node.renew("node")
        #expect(try node.psql().output == "1\n")
        // Two generations of each are kept.
        #expect(await eventually(within: 20) { (try? tokens.keys("node").count) == 4 })
        #expect(try node.files(named: "key.token").count == 4)

        #expect(node.fleet.agent.stop() == 0)
        try await node.start()
        #expect(try node.psql().output == "1\n")
        #expect(try tokens.keys("node").count == 4)

        let shown = try tokens.tool("node", ["--list-objects", "--type", "privkey"]).output
        #expect(shown.components(separatedBy: "never extractable").count == 5, "\(shown)")
        let events = try await arrived(node, "key.destroyed")
        #expect(events.contains("key.made"))
    }

    private func arrived(_ node: TokenFleet, _ name: String) async throws -> String {
        _ = await eventually(within: 20) { (try? node.fleet.arrivedEvents())?.contains(name) == true }
        let events = try node.fleet.arrivedEvents()
        #expect(events.contains(name))
        #expect(!events.contains(TestTokens.pin) && !node.fleet.agent.log.contains(TestTokens.pin))
        return events
    }

    @Test func `refuses who needs the token while that hangs, and nobody else`() async throws {
        let tokens = try TestTokens()
        try tokens.make("node")
        let node = try await TokenFleet(store: tokens.store("node"), environment: tokens.environment)
        @Sendable func sessions() -> Int {
            node.fleet.postgres.log.components(separatedBy: "connection authorized").count
        }
        let before = sessions()
        let long = try Program(
            "/usr/bin/psql",
            [
                "-XAtq", "-d", node.fleet.connection(as: "shop"), "-c", "select pg_sleep(15)", "-c",
                "select 'still here'",
            ],
            log: node.fleet.folder + "/long.log")
        #expect(await eventually(within: 20) { sessions() > before })
        try tokens.hang()
        // The first waits for the token, others at the same port behind it; who needs none notices nothing.
        let first = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", node.fleet.connection(as: "shop"), "-c", "select 1"],
            log: node.fleet.folder + "/first.log")
        let hung = ContinuousClock.now
        var slowest = Duration.zero
        while first.isRunning, ContinuousClock.now - hung < .seconds(20) {
            let began = ContinuousClock.now
            #expect(try node.psql(plain: true).output == "1\n")
            slowest = max(slowest, ContinuousClock.now - began)
        }
        #expect(slowest < .seconds(3), "a client of the other listener waited \(slowest)")
        #expect(await first.waitForExit(within: 20) != 0)
        #expect(await eventually(within: 20) { node.codes.contains("KEY_TOKEN_SILENT") })
        let metrics = try Program.run(
            "/usr/bin/curl", ["-sf", "--unix-socket", node.fleet.statusSocket, "http://node/metrics"]
        ).output
        #expect(metrics.contains("nodeguard_key_token_up{store=\"pkcs11:token=node\"} 0"))
        _ = await long.waitForExit(within: 60)
        #expect(long.log.contains("still here"), "a live session was cut: \(long.log)")

        try tokens.goOn()
        #expect(await eventually(within: 90) { node.isServing }, "\(node.fleet.agent.log)")
        #expect(await eventually(within: 20) { !node.codes.contains("KEY_TOKEN_SILENT") })
        let events = try await arrived(node, "key.store-changed")
        #expect(events.contains("key-unavailable"))
    }

    @Test func `starts without its token, says so, and serves when it is there`() async throws {
        let tokens = try TestTokens()
        try tokens.make("node")
        let node = try await TokenFleet(store: tokens.store("node"), environment: tokens.environment)
        node.fleet.agent.stop()
        try tokens.pull()
        try node.fleet.startAgent(environment: tokens.environment)
        #expect(await eventually(within: 30) { node.codes.contains("KEY_TOKEN_UNREACHABLE") })
        #expect(try node.psql().status != 0)
        #expect(try node.psql(plain: true).output == "1\n")
        #expect(!node.codes.contains("CERTIFICATE_QUARANTINED"), "a token that is away damages nothing")
        try tokens.putBack()
        #expect(await eventually(within: 90) { node.isServing }, "\(node.fleet.agent.log)")
    }

    @Test func `tries a wrong PIN once, and the right one when it comes`() async throws {
        let tokens = try TestTokens()
        try tokens.make("node")
        let node = try await TokenFleet(store: tokens.store("node"), environment: tokens.environment)
        node.fleet.agent.stop()
        try tokens.folder.write("000000", to: "pin")
        let before = tokens.loginCount
        for _ in 0..<3 {
            try node.fleet.startAgent(environment: tokens.environment)
            #expect(await eventually(within: 30) { node.codes.contains("KEY_TOKEN_PIN_REFUSED") })
            #expect(try node.psql().status != 0)
            node.fleet.agent.stop()
        }
        #expect(tokens.loginCount == before + 1)
        try node.fleet.startAgent(environment: tokens.environment)
        #expect(await eventually(within: 30) { node.codes.contains("KEY_TOKEN_PIN_REFUSED") })
        try tokens.folder.write(TestTokens.pin, to: "pin")
        #expect(await eventually(within: 60) { node.isServing }, "\(node.fleet.agent.log)")
        #expect(tokens.loginCount == before + 2)
    }
}

@Suite(.serialized) struct `A node with its keys in a TPM` {
    @Test func `enrols, serves, renews, and outlasts a TPM that hangs and one that is gone`() async throws {
        let tpm = try await TestTPM()
        let node = try await TokenFleet(store: tpm.store)
        #expect(try node.psql().output == "1\n")
        try await node.renew("database")
        try await node.renew("node")
        #expect(try node.psql().output == "1\n")
        #expect(try node.certificates().filter { $0["key_store"] as? String == "tpm" }.count == 2)

        tpm.halt()
        #expect(try node.psql().status != 0)
        #expect(await eventually(within: 20) { node.codes.contains("KEY_TOKEN_SILENT") })
        #expect(try node.psql(plain: true).output == "1\n")
        try await tpm.goOn()
        #expect(await eventually(within: 90) { node.isServing }, "\(node.fleet.agent.log)")

        await tpm.kill()
        #expect(await eventually(within: 20) { (try? node.psql().status) != 0 })
        #expect(await eventually(within: 20) { node.codes.contains("KEY_TOKEN_UNREACHABLE") })
        try await tpm.start()
        #expect(await eventually(within: 90) { node.isServing }, "\(node.fleet.agent.log)")
        node.fleet.agent.stop()
        // There is no resource manager here that would clean up behind it.
        try await tpm.goOn()
        try await node.start()
        #expect(await eventually(within: 60) { node.isServing }, "\(node.fleet.agent.log)")
    }
}
