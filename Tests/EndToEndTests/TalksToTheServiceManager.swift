import Foundation
import Testing

@Suite(.serialized) struct `To its service manager the agent` {
    /// With a watchdog of two seconds, so a sign of life each second.
    private static func fleet(drain: String = "1s", before: (Fleet) throws -> Void = { _ in }) async throws
        -> (Fleet, ServiceSocket)
    {
        let fleet = try await Fleet(start: false)
        try fleet.configuration.replacing("drain: 2s", with: "drain: \(drain)")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try before(fleet)
        let socket = try ServiceSocket(at: fleet.folder + "/notify")
        try fleet.startAgent(environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "2000000"])
        try await fleet.waitUntilReady()
        return (fleet, socket)
    }

    private static func lane(_ label: String, of fleet: Fleet) -> [String: Any]? {
        ((try? fleet.status())?["lanes"] as? [[String: Any]])?.first { $0["label"] as? String == label }
    }

    @Test func `gives its signs of life while a backup target hangs, and its streams to others go on`() async throws {
        // A backup whose description never comes: opening a FIFO that nobody writes blocks as a hung disk does.
        let (fleet, socket) = try await Self.fleet { fleet in
            let backup = fleet.folder + "/backups/\(Fleet.cluster)/01890000-0000-7000-8000-000000000001"
            let made = try Program.shell(
                "mkdir -p \(backup)/v && mkfifo \(backup)/manifest.pub.json && touch \(backup)/manifest.ngb")
            try #require(made.status == 0, "\(made)")
        }
        let isHung = await eventually(within: 30) {
            (Self.lane("backups-housekeeping", of: fleet)?["lag_seconds"] as? Double ?? 0) > 3
        }
        #expect(isHung)
        #expect(Self.lane("backups-housekeeping", of: fleet)?["patient"] as? Bool == true)
        let before = socket.count(of: "WATCHDOG=1")
        #expect(await eventually(within: 20) { socket.count(of: "WATCHDOG=1") > before + 3 })
        #expect(fleet.httpStatus("/livez") == "200")
        #expect(try fleet.psql("select 1").output == "1\n")
        #expect(try fleet.nodeguard(["backup", "put", "other"], input: "something").status == 0)
        // And the one that hangs does not keep the daemon from ending.
        kill(fleet.agent.identifier, SIGTERM)
        #expect(await fleet.agent.waitForExit(within: 30) == 0)
    }

    @Test func `asks for more time while it drains`() async throws {
        let (fleet, socket) = try await Self.fleet(drain: "8s")
        let held = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: "shop"), "-c", "select pg_sleep(60)"],
            log: fleet.folder + "/held.log")
        let isHeld = await eventually(within: 20) {
            ((try? fleet.status())?["proxy"] as? [String: Any])?["connections"] as? Int == 1
        }
        #expect(isHeld)
        kill(fleet.agent.identifier, SIGTERM)
        #expect(await eventually(within: 20) { socket.count(of: "EXTEND_TIMEOUT_USEC=30000000") >= 3 })
        #expect(socket.said.contains("STOPPING=1"))
        let stopping = try #require(socket.said.firstIndex(of: "STOPPING=1"))
        #expect(socket.said.firstIndex { $0.hasPrefix("EXTEND_TIMEOUT_USEC=") } ?? 0 > stopping)
        held.kill()
        #expect(await fleet.agent.waitForExit(within: 60) == 0)
    }
}
