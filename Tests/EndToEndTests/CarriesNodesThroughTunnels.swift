import Foundation
import Testing

/// A second node of the cluster, whose own plain port leads to the first one's listener.
private final class NearNode: Sendable {
    static let name = "db-2"

    let folder: String
    let port: Int
    private let agent: Program

    init(_ fleet: Fleet, verifying name: String) async throws {
        folder = fleet.folder + "/near"
        port = try freePort()
        for path in ["node/join", "run"] {
            try FileManager.default.createDirectory(
                atPath: folder + "/" + path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        try fleet.command([
            "role", "allow", "--cluster", Fleet.cluster, "--node", Self.name, "--role", "peer", "--dns",
            "db-2.example", "--usage", "client",
        ])
        let bundle = folder + "/node/join/bundle"
        let made = try fleet.command(["token", "create", "--cluster", Fleet.cluster, "--node", Self.name])
        try made.output.write(toFile: bundle, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: bundle)
        let configuration = """
            node: { name: \(Self.name), cluster: \(Fleet.cluster), state: \(folder)/node }
            management: { url: "https://127.0.0.1:\(fleet.planePort)", join: \(bundle) }
            certificates: { roles: [ { name: peer, names: [db-2.example], usage: [client] } ] }
            proxy:
              tunnels:
                - { name: primary, listen: "127.0.0.1:\(port)", connect: "localhost:\(fleet.listenPort)",
                    protocol: postgres, certificate: peer, health: { every: 1s }, verify-name: \(name) }
            status: { socket: \(folder)/run/s, control: \(folder)/run/c, stream: \(folder)/run/b }

            """
        try configuration.write(toFile: folder + "/nodeguard.yaml", atomically: true, encoding: .utf8)
        let agent = try Program(
            Program.nodeguard, ["run", "--config", folder + "/nodeguard.yaml"], log: folder + "/nodeguard.log")
        self.agent = agent
        let socket = folder + "/run/s"
        let isReady = await eventually(within: 30) {
            let asked = try? Program.run(
                "/usr/bin/curl",
                ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket, "http://node/readyz"])
            return asked?.output == "200"
        }
        try #require(isReady, "\(agent.log)")
    }

    deinit { agent.kill() }

    func psql(_ query: String) throws -> Outcome {
        try Program.run("/usr/bin/psql", ["-XAtq", "-d", connection, "-c", query])
    }

    var connection: String { "host=127.0.0.1 port=\(port) user=postgres dbname=postgres sslmode=disable" }

    func nodeguard(_ words: [String]) throws -> Outcome {
        try Program.run(Program.nodeguard, words + ["--config", folder + "/nodeguard.yaml"])
    }

    func audits(_ words: String) async -> Bool {
        await eventually(within: 20) { [self] in
            (try? nodeguard(["audit", "tail"]).output)?.contains(words) == true
        }
    }

    func shows(_ health: String) async -> Bool {
        await eventually(within: 20) { [self] in
            let text = (try? nodeguard(["status"]).output) ?? ""
            return text.split(separator: "\n").contains { $0.contains("primary ") && $0.contains(" \(health) ") }
        }
    }
}

@Suite(.serialized) struct `A tunnel between two nodes` {
    private static func fleet() async throws -> Fleet {
        let fleet = try await Fleet(start: false)
        let allowed = fleet.configuration.replacing(
            "allow: [", with: "allow: [ { dns: db-2.example },", maxReplacements: 1)
        try allowed.write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        return fleet
    }

    @Test func `carries a client that knows no TLS, over a renewal too`() async throws {
        let fleet = try await Self.fleet()
        let near = try await NearNode(fleet, verifying: "localhost")
        let answer = try near.psql("select 6 * 7")
        #expect(answer.output == "42\n", "\(answer)")
        let rows = try near.psql("copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout")
        #expect(rows.output.utf8.count == 20_000 * 1001)
        let long = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", near.connection, "-c", "select pg_sleep(5)", "-c", "select 'still here'"],
            log: near.folder + "/long.log")
        let before = try near.nodeguard(["certificates", "list", "--json"]).output
        #expect(try near.nodeguard(["certificates", "renew", "peer"]).status == 0)
        let isRenewed = await eventually(within: 20) {
            let now = try? near.nodeguard(["certificates", "list", "--json"]).output
            return now != nil && now != before
        }
        #expect(isRenewed)
        #expect(try near.psql("select 1").output == "1\n")
        _ = await long.waitForExit(within: 60)
        #expect(long.log.contains("still here"), "\(long.log)")
        #expect(await near.audits("remote.serial"))
    }

    @Test func `says in its status and to its clients that the other node is away, until it is back`() async throws {
        let fleet = try await Self.fleet()
        let near = try await NearNode(fleet, verifying: "localhost")
        #expect(await near.shows("up"))
        fleet.agent.kill()
        #expect(await near.shows("down"))
        #expect(try near.nodeguard(["status"]).output.contains("REMOTE_DOWN (tunnel primary)"))
        let away = try near.psql("select 1")
        #expect(away.errors.contains("the remote end of this tunnel cannot be reached"), "\(away)")
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(await near.shows("up"))
        #expect(try near.psql("select 1").output == "1\n")
    }

    @Test func `sends no byte to a node of another name`() async throws {
        let fleet = try await Self.fleet()
        let near = try await NearNode(fleet, verifying: "db-9.example")
        let before = fleet.postgres.connectionCount
        let refused = try near.psql("select 1")
        #expect(refused.errors.contains("cannot be reached"), "\(refused)")
        #expect(fleet.postgres.connectionCount == before)
        #expect(await near.audits("ostname mismatch"))
    }
}
