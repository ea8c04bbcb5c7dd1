import Foundation
import Logging
import Reports
import Status
import Synchronization
import TestSupport
import Testing

@testable import nodeguard

/// The built program against real local sockets.
final class ProgramFixture: Sendable {
    static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("nodeguard").path

    let folder: TemporaryDirectory
    let health = HealthBoard(conditions: ["spool"])
    let killed = Mutex<[String]>([])
    let lifted = Mutex<[String]>([])

    init(_ extra: String = "") throws {
        folder = try TemporaryDirectory(prefix: "ng")
        try folder.write(
            """
            node: { name: db-1, cluster: cluster-a, state: \(folder.file("state")) }
            status: { socket: \(folder.file("s")), control: \(folder.file("c")), stream: \(folder.file("t")) }
            \(extra)
            """, to: "nodeguard.yaml")
    }

    func run(_ arguments: [String], input: String = "") async throws -> Subprocess.Result {
        let file = try folder.write(input, to: "input-\(UUID().uuidString)")
        let process = try Subprocess(
            Self.program, arguments + ["--config", folder.file("nodeguard.yaml")],
            input: FileHandle(forReadingFrom: URL(fileURLWithPath: file)))
        return try await process.waitForEnd(within: 30)
    }

    /// `swapped`: the read-only socket where the control socket should be.
    func serve(swapped: Bool = false, _ body: @Sendable () async throws -> Void) async throws {
        let source = StatusSource(
            identification: {
                NodeIdentification(node: "db-1", cluster: "cluster-a", version: "9", started: Timestamp(seconds: 0))
            },
            health: health, metrics: Metrics(), lanes: { [] },
            control: ControlActions(
                connections: { _, _ in
                    [
                        "connections": [
                            ["id": 7, "listener": "ysql", "peer_subject": "CN=shop", "peer_address": "127.0.0.1:9"]
                        ]
                    ]
                },
                events: { _ in
                    [
                        [
                            "seq": 4, "name": "agent.started", "outcome": "success", "time": "T",
                            "fields": ["b": 1, "a": "x"],
                        ]
                    ]
                },
                renew: { $0 == "database" ? .accepted("renewal begun") : .unknown("there is no role \($0)") },
                kill: { id in
                    self.killed.withLock { $0.append(id) }
                    return .done([:])
                },
                drain: { .refused("already draining") }, undrain: { .done([:]) },
                reload: { _ in .done(["applied": .strings(["log.level"]), "needs_restart": .strings([])]) },
                bans: BanActions(
                    list: {
                        let row: JSONValue = [
                            "network": "203.0.113.7/32", "listener": "ysql", "reason": "tls-garbage",
                            "since": "2026-11-24T10:56:00Z", "seconds_left": 90,
                        ]
                        return ["bans": [row]]
                    },
                    lift: { network in
                        self.lifted.withLock { $0.append(network ?? "all") }
                        return network == "10.0.0.1/32" ? .unknown("there is no ban") : .done(["lifted": 1])
                    })))
        let paths = swapped ? ["c", "s"] : ["s", "c"]
        let server = try await StatusServer.open(
            StatusConfiguration(statusPath: folder.file(paths[0]), controlPath: folder.file(paths[1])),
            source: source, audit: .none, logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            group.cancelAll()
            try outcome.get()
        }
    }
}

@Suite struct `The command line` {
    @Test func `ends with a status that says how the node is`() async throws {
        let fixture = try ProgramFixture()
        try await fixture.serve {
            let starting = try await fixture.run(["status"])
            #expect(starting.status == 2)
            #expect(starting.output.hasPrefix("starting: db-1 of cluster-a"))
            fixture.health.set(ReadinessCondition("spool", isMet: true, detail: "open"))
            #expect(try await fixture.run(["status"]).status == 0)
            #expect(try await fixture.run(["check"]).output.hasPrefix("NODEGUARD OK - ready"))
            fixture.health.raise(HealthReason("X", .warn, detail: "d", action: "a"))
            let degraded = try await fixture.run(["status", "--json"])
            #expect(degraded.status == 1)
            #expect(degraded.output.hasPrefix("{") && degraded.output.contains("\"state\":\"degraded\""))
            #expect(try await fixture.run(["check"]).status == 1)
        }
    }

    @Test func `says that the daemon is away, and ends with 3`() async throws {
        let fixture = try ProgramFixture()
        for verb in [
            ["status"], ["check"], ["connections"], ["certificates"], ["audit", "tail"], ["audit", "spool"], ["drain"],
            ["backup", "list"], ["backup", "put", "a"], ["certificates", "renew", "a"],
        ] {
            let outcome = try await fixture.run(verb)
            #expect(outcome.status == 3, "\(verb): \(outcome)")
            let lines = (outcome.output + outcome.errors).split(separator: "\n")
            #expect(lines.count == 1 && lines[0].contains("running?"), "\(verb): \(outcome)")
        }
    }

    @Test func `ends with 4 where it may not`() async throws {
        let fixture = try ProgramFixture()
        try await fixture.serve(swapped: true) {
            let outcome = try await fixture.run(["connections"])
            #expect(outcome.status == 4)
            #expect(outcome.errors.contains("control socket only"))
        }
    }

    @Test(arguments: [
        ["nonsense"], ["status", "--nonsense"], ["backup", "run", "a"], ["audit", "tail", "-n", "0"], ["backup"],
        ["bans", "list", "--nft", "--json"], ["bans", "lift"], ["bans", "lift", "10.0.0.1/8"],
        ["bans", "lift", "here"], ["bans", "lift", "::1", "--all"],
        ["connections", "--kill", "a/b"], ["certificates", "renew", "a/b"], ["backup", "verify", "a", "--level", "4"],
    ])
    func `ends with 64 when it is used wrongly`(arguments: [String]) async throws {
        let outcome = try await ProgramFixture().run(arguments)
        #expect(outcome.status == 64, "\(outcome)")
    }

    @Test func `ends with 78 and every mistake, for every verb, when the configuration is wrong`() async throws {
        let fixture = try ProgramFixture("log: { levl: info }\nbackup: {}")
        for verb in [["config", "check"], ["config", "show"], ["run"], ["status"], ["check"], ["backup", "list"]] {
            let outcome = try await fixture.run(verb)
            #expect(outcome.status == 78)
            #expect(outcome.output == "")
            #expect(outcome.errors.contains("nodeguard.yaml:3:8: unknown key 'levl'; did you mean 'level'?\n"))
            #expect(outcome.errors.contains("nodeguard.yaml:4:1: unknown key 'backup'; did you mean 'backups'?\n"))
        }
    }

    @Test func `lists and ends connections, renews, and shows events`() async throws {
        let fixture = try ProgramFixture()
        fixture.health.publish(section: "certificates", ["roles": [["role": "database", "subject": "CN=db-1"]]])
        fixture.health.publish(section: "audit", ["next_seq": 5, "spooled_bytes": 2048])
        try await fixture.serve {
            let connections = try await fixture.run(["connections"]).output
            #expect(connections == "  ID  LISTENER  FROM         SUBJECT\n  7   ysql      127.0.0.1:9  CN=shop\n")
            #expect(try await fixture.run(["connections", "--kill", "7"]).output == "connection 7 was ended\n")
            #expect(fixture.killed.withLock { $0 } == ["7"])
            let certificates = try await fixture.run(["certificates", "list"]).output
            #expect(certificates == "database\n  subject    CN=db-1\n")
            #expect(try await fixture.run(["certificates", "renew", "database"]).output == "renewal begun\n")
            let unknown = try await fixture.run(["certificates", "renew", "other"])
            #expect(unknown.status == 2 && unknown.errors == "there is no role other\n")
            #expect(try await fixture.run(["audit", "tail"]).output == "T 4 agent.started success a=x b=1\n")
            #expect(try await fixture.run(["audit", "spool"]).output == "  next seq       5\n  spooled bytes  2 KiB\n")
            let drain = try await fixture.run(["drain"])
            #expect(drain.status == 2 && drain.errors == "already draining\n")
            #expect(try await fixture.run(["undrain"]).output == "taking connections again\n")
        }
    }

    @Test func `lists bans and lifts them`() async throws {
        let fixture = try ProgramFixture()
        try await fixture.serve {
            let listed = try await fixture.run(["bans"])
            #expect(listed.output.contains("203.0.113.7/32  ysql      tls-garbage  2026-11-24T10:56:00Z"), "\(listed)")
            #expect(try await fixture.run(["bans", "list", "--json"]).output.hasPrefix(#"{"bans":[{"listener""#))
            let commands = try await fixture.run(["bans", "list", "--nft"]).output
            #expect(commands.contains("add element inet nodeguard bans4 { 203.0.113.7/32 timeout 90s }\n"))
            let one = try await fixture.run(["bans", "lift", "203.0.113.7"])
            #expect(one.output == "1 ban was lifted\n" && one.status == 0)
            let network = try await fixture.run(["bans", "lift", "2001:db8::/48", "--json"])
            #expect(network.output.hasPrefix(#"{"lifted":1}"#), "\(network)")
            #expect(try await fixture.run(["bans", "lift", "--all"]).status == 0)
            #expect(try await fixture.run(["bans", "lift", "10.0.0.1"]).errors == "there is no ban\n")
            #expect(
                fixture.lifted.withLock { $0 } == ["203.0.113.7/32", "2001:db8::/48", "all", "10.0.0.1/32"])
        }
    }

    @Test func `prints the version, the example and the effective configuration`() async throws {
        let fixture = try ProgramFixture()
        #expect(try await fixture.run(["version"]).output == "nodeguard \(Nodeguard.version)\n")
        #expect(try await fixture.run(["version", "--json"]).output.contains("\"version\":\"\(Nodeguard.version)\""))
        let short = try Subprocess.run(ProgramFixture.program, ["--version"])
        #expect(short.status == 0 && short.output == "nodeguard \(Nodeguard.version)\n", "\(short)")
        let plane = try Subprocess.run(ProgramFixture.program + "-plane", ["--version"])
        #expect(plane.output == "nodeguard-plane \(Nodeguard.version)\n", "the two are one release: \(plane)")
        #expect(try await fixture.run(["config", "example"]).output == ConfigurationExample.text)
        let shown = try await fixture.run(["config", "show"]).output
        #expect(try NodeConfiguration.parse(shown, path: "shown").node.name == "db-1")
        #expect(try await fixture.run(["config", "check"]).output.hasSuffix("nodeguard.yaml: no mistake\n"))
    }
}
