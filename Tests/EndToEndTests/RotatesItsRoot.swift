import Foundation
import Testing

/// A fleet whose listener looks clients up in the cluster's CRLs, and what the plane says of its rotation.
private struct Rotated {
    let fleet: Fleet

    init() async throws {
        fleet = try await Fleet(start: false)
        try fleet.configuration.replacing("trust: [cluster]", with: "trust: [cluster]\n      crl: [cluster]")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try FileManager.default.copyItem(atPath: file("trust.pem"), toPath: file("old.pem"))
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let served = await eventually(within: 30) { [self] in works("shop") }
        try #require(served, "\(fleet.agent.log)")
    }

    func file(_ name: String) -> String { fleet.folder + "/" + name }

    // MARK: the plane

    func step(_ words: String...) throws { try fleet.command(["rotate-ca"] + words) }

    /// Whether it was done: a node may not have reported yet what it needs.
    func does(_ words: String...) -> Bool {
        let outcome = try? Program.run(Program.plane, ["rotate-ca"] + words + ["--state", fleet.folder + "/plane"])
        return outcome?.status == 0
    }

    func refusal(_ words: String...) throws -> String {
        let outcome = try Program.run(
            Program.plane, ["rotate-ca"] + words + ["--state", fleet.folder + "/plane"])
        #expect(outcome.status == 1, "\(words): \(outcome)")
        return outcome.errors
    }

    var status: [String: Any] {
        let told = try? fleet.command(["rotate-ca", "status", "--json"])
        let json = told.flatMap { try? JSONSerialization.jsonObject(with: Data($0.output.utf8)) }
        return json as? [String: Any] ?? [:]
    }

    func node(_ name: String = Fleet.node) -> [String: Any] {
        (status["nodes"] as? [[String: Any]])?.first { $0["node"] as? String == name } ?? [:]
    }

    func uses(_ name: String = Fleet.node) -> [String] { node(name)["uses"] as? [String] ?? [] }
    func lags(_ name: String = Fleet.node) -> [String] { node(name)["lags"] as? [String] ?? ["?"] }

    func waits(within seconds: Double = 150, _ condition: @escaping @Sendable () -> Bool) async throws {
        let holds = await eventually(within: seconds, condition)
        try #require(holds, "\(status)\n\(fleet.plane.log)\n\(fleet.agent.log)")
    }

    func start() async throws {
        try step("start")
        try await waits { lags().isEmpty }
        try fleet.command(["trust", "--out", file("trust.pem")])
        let both = try String(contentsOfFile: file("trust.pem"), encoding: .utf8)
        let old = try String(contentsOfFile: file("old.pem"), encoding: .utf8)
        #expect(both.contains(old))
        try both.replacing(old, with: "").write(toFile: file("new.pem"), atomically: true, encoding: .utf8)
    }

    func issue() async throws {
        try step("issue", "--watch", "1s", "--spread", "1s")
        try await waits { uses() == ["new"] && status["pace"] as? String == "everyone" }
    }

    // MARK: clients

    func client(_ name: String) throws {
        try fleet.clientCertificate(name, uri: "spiffe://\(Fleet.cluster)/app/\(name)")
    }

    /// `roots`: the file of those that the client trusts.
    func works(_ name: String, roots: String = "trust.pem") -> Bool { (try? query(name, roots))?.output == "1\n" }

    func query(_ name: String, _ roots: String = "trust.pem") throws -> Outcome {
        try Program.run("/usr/bin/psql", ["-XAtq", "-d", connection(name, roots), "-c", "select 1"])
    }

    private func connection(_ name: String, _ roots: String) -> String {
        fleet.connection(as: name).replacing(file("trust.pem"), with: file(roots))
    }

    func hold(_ name: String, roots: String = "trust.pem") throws -> Program {
        try Program(
            "/usr/bin/psql", ["-XAtq", "-d", connection(name, roots), "-c", "select pg_sleep(300)"],
            log: file("\(name)-\(UUID().uuidString).log"))
    }

    var open: Int? { ((try? fleet.status())?["proxy"] as? [String: Any])?["connections"] as? Int }

    /// How many certificates the listener shows.
    var shownCount: Int {
        let shown = try? Program.shell(
            """
            openssl s_client -showcerts -starttls postgres -connect 127.0.0.1:\(fleet.listenPort) \
                -cert \(file("shop"))/client.crt -key \(file("shop"))/client.key </dev/null 2>/dev/null |
                grep -c 'BEGIN CERTIFICATE'
            """)
        return shown.flatMap { Int($0.output.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
    }
}

/// A minute or two each: with `packaging/test --all`. The plane's own tests have the same steps without an agent.
private let takesItsTime = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

@Suite(.serialized) struct `A root that is replaced` {
    @Test func `costs no client a connection: each one meets a node that it trusts, and one that trusts it`()
        async throws
    {
        let scene = try await Rotated()
        let fleet = scene.fleet
        #expect(try scene.refusal("issue").contains("no rotation is under way"))
        let early = try scene.hold("shop", roots: "old.pem")
        try await scene.waits { scene.open == 1 }
        try await scene.start()
        #expect(try scene.refusal("finish").contains("`rotate-ca issue` comes first"))
        #expect(try scene.refusal("start").contains("under way"))
        #expect(scene.works("shop", roots: "old.pem"))
        try await scene.issue()
        #expect(scene.shownCount == 3, "leaf, issuer, and the old root's word for the new one")
        try scene.client("kiosk")
        for (client, roots) in [("shop", "old.pem"), ("shop", "new.pem"), ("kiosk", "old.pem"), ("kiosk", "new.pem")] {
            let outcome = try scene.query(client, roots)
            #expect(outcome.output == "1\n", "\(client) with \(roots): \(outcome)")
        }
        #expect(early.isRunning)
        let late = try scene.hold("kiosk", roots: "new.pem")
        try await scene.waits { scene.open == 2 }
        #expect(scene.status["old_clients"] as? Int == 1)
        try scene.step("finish")
        let status = await early.waitForExit(within: 60)
        #expect(status != nil, "a session of the old root ends with it")
        try await scene.waits { scene.lags().isEmpty }
        #expect(late.isRunning && scene.works("kiosk", roots: "new.pem"))
        #expect(!scene.works("shop", roots: "new.pem") && !scene.works("kiosk", roots: "old.pem"))
        #expect(scene.shownCount <= 2)
        let shown = try fleet.nodeguard(["certificates", "--json"])
        #expect(shown.output.contains("issuing authority"), "\(shown)")
        let events = try fleet.command(["journal", "-n", "100", "--json"]).output
        for name in ["rotation.start", "rotation.issue", "rotation.widen", "rotation.finish"] {
            #expect(events.contains(#""action":"\#(name)""#), "\(events)")
        }
        #expect(try fleet.command(["audit", "verify", "--plane"]).status == 0)
        // The plane is verified by the new root now, and after restarts of both.
        try await fleet.restartPlane()
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        try await scene.waits { scene.works("kiosk", roots: "new.pem") }
        late.kill()
    }

    @Test(.enabled(if: takesItsTime))
    func `waits for a node that lags, and lets one that was away follow; restarts change nothing`()
        async throws
    {
        let scene = try await Rotated()
        let fleet = scene.fleet
        let other = try OtherNode(fleet)
        try await scene.waits { scene.node("db-2")["reported"] is String || other.isJoined }
        other.stop()
        try await scene.start()
        #expect(try scene.refusal("issue", "--node", Fleet.node).contains("cluster-a/db-2"))
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try other.start()
        try await scene.waits { scene.lags("db-2").isEmpty && scene.lags().isEmpty }
        other.stop()
        try scene.step("issue", "--node", Fleet.node, "--watch", "1s", "--spread", "1s")
        try await scene.waits { scene.uses() == ["new"] && scene.status["pace"] as? String == "everyone" }
        #expect(try scene.refusal("finish").contains("db-2 still uses a certificate of the old root"))
        fleet.agent.kill()
        try fleet.startAgent()
        try await fleet.restartPlane()
        try other.start()
        try await scene.waits { scene.uses("db-2") == ["new"] && scene.uses() == ["new"] }
        try scene.step("finish")
        try await scene.waits { scene.lags().isEmpty && scene.lags("db-2").isEmpty }
        fleet.agent.kill()
        try fleet.startAgent()
        try scene.client("kiosk")
        try await scene.waits { scene.works("kiosk", roots: "new.pem") }
        other.stop()
    }

    @Test(.enabled(if: takesItsTime)) func `is taken back from each phase`() async throws {
        let scene = try await Rotated()
        try await scene.start()
        try await scene.issue()
        try scene.step("finish")
        try await scene.waits { scene.lags().isEmpty }
        #expect(!scene.works("shop"))
        try scene.step("rollback")
        try await scene.waits { scene.works("shop", roots: "old.pem") }
        try await scene.waits { scene.does("rollback") }
        try await scene.waits { scene.uses() == ["old"] }
        #expect(scene.works("shop", roots: "old.pem"))
        try scene.step("rollback")
        try await scene.waits { scene.lags().isEmpty && scene.status["phase"] as? String == "withdrawn" }
        #expect(scene.works("shop", roots: "old.pem"))
        #expect(try scene.refusal("rollback").contains("nothing to take back"))
        try scene.step("start")
    }

    @Test(.enabled(if: takesItsTime)) func `is issued no further when clients do not know it`() async throws {
        let scene = try await Rotated()
        try await scene.start()
        try scene.step("issue", "--watch", "1h")
        try await scene.waits { scene.uses() == ["new"] }
        #expect(try scene.refusal("finish").contains("only the first node"))
        let made = try Program.shell(
            """
            cd \(scene.fleet.folder) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                -keyout other.key -out other.pem -subj /CN=other -days 1
            """)
        try #require(made.status == 0, "\(made)")
        for _ in 0..<3 {
            #expect(scene.works("shop", roots: "old.pem"))
            for _ in 0..<3 { #expect(!scene.works("shop", roots: "other.pem")) }
        }
        try await scene.waits(within: 120) { scene.status["pace"] as? String == "halted" }
        #expect((scene.status["halt"] as? String)?.contains("cluster-a/db-1") == true, "\(scene.status)")
        #expect(try scene.refusal("finish").contains("halted"))
        #expect(scene.works("shop", roots: "old.pem"))
        try scene.step("issue", "--watch", "1s", "--spread", "1s", "--alerts", "10")
        try await scene.waits { scene.status["pace"] as? String == "everyone" }
    }

    @Test func `is not needed where only a cluster's authority is stolen: it is revoked, and what hangs on it ends`()
        async throws
    {
        let scene = try await Rotated()
        let session = try scene.hold("shop")
        try await scene.waits { scene.open == 1 }
        let list = try scene.fleet.command(["cluster", "list", "--json"]).output
        let clusters = try JSONSerialization.jsonObject(with: Data(list.utf8)) as? [[String: Any]]
        let serial = try #require((clusters?.first?["authorities"] as? [String])?.first)
        try scene.fleet.command(["revoke", serial])
        let ended = await session.waitForExit(within: 60)
        #expect(ended != nil && session.log.contains("revoked"), "\(session.log)")
        #expect(!scene.works("shop"))
        try scene.client("kiosk")
        try await scene.waits(within: 120) { scene.works("kiosk") }
        let again = try Program.run(Program.plane, ["revoke", serial, "--state", scene.fleet.folder + "/plane"])
        #expect(again.status == 1 && again.errors.contains("revoked before"), "\(again)")
    }
}

/// A second node of the fleet, without listeners.
private final class OtherNode: @unchecked Sendable {
    private let fleet: Fleet
    private let folder: String
    private var agent: Program?

    init(_ fleet: Fleet) throws {
        self.fleet = fleet
        folder = fleet.folder + "/db-2"
        for path in ["/node/join", "/run"] {
            try FileManager.default.createDirectory(
                atPath: folder + path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        let made = try fleet.command(["token", "create", "--cluster", Fleet.cluster, "--node", "db-2"])
        try made.output.write(toFile: folder + "/node/join/bundle", atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600], ofItemAtPath: folder + "/node/join/bundle")
        try """
        node: { name: db-2, cluster: \(Fleet.cluster), state: \(folder)/node }
        management: { url: "https://127.0.0.1:\(fleet.planePort)", join: \(folder)/node/join/bundle }
        status: { socket: \(folder)/run/s, control: \(folder)/run/c, stream: \(folder)/run/t }

        """.write(toFile: folder + "/nodeguard.yaml", atomically: true, encoding: .utf8)
        try start()
    }

    deinit { agent?.kill() }

    var isJoined: Bool { !FileManager.default.fileExists(atPath: folder + "/node/join/bundle") }

    func start() throws {
        agent = try Program(
            Program.nodeguard, ["run", "--config", folder + "/nodeguard.yaml"], log: folder + "/nodeguard.log")
    }

    func stop() { agent?.kill() }
}
