import Foundation
import Testing

@Suite(.serialized) struct `The agent` {
    @Test func `says how it is: state, reasons, sections, exit codes, metrics`() async throws {
        let fleet = try await Fleet()
        let status = try fleet.status()
        #expect(status["schema"] as? String == "nodeguard.status/1")
        #expect(["ready", "degraded"].contains(status["state"] as? String))
        for section in ["certificates", "proxy", "backups", "audit"] {
            #expect(status[section] != nil, "no section \(section)")
        }
        let shown = try fleet.nodeguard(["status"])
        #expect([0, 1].contains(shown.status))
        #expect(shown.lines.allSatisfy { $0.count <= 80 }, "\(shown)")
        #expect(try fleet.nodeguard(["status", "--json"]).output.hasPrefix("{"))
        #expect(fleet.httpStatus("/livez") == "200")
        let metrics = try Program.run(
            "/usr/bin/curl", ["-s", "--unix-socket", fleet.statusSocket, "http://node/metrics"]
        ).output
        #expect(metrics.hasSuffix("# EOF\n"))
        #expect(metrics.contains(/nodeguard_certificate_expiry_timestamp_seconds\{role="database"\} \d/))
        #expect(fleet.agent.stop() == 0)
        #expect(try fleet.nodeguard(["status"]).status == 3)
    }

    @Test func `makes the folder of its sockets`() async throws {
        let fleet = try await Fleet(start: false)
        try FileManager.default.removeItem(atPath: fleet.folder + "/run")
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(try fleet.nodeguard(["connections"]).output == "no connection\n")
    }

    @Test func `names everything in one manner, and each lane and queue by a label of its own`() async throws {
        let fleet = try await Fleet()
        #expect(try fleet.psql("select 1").status == 0)
        let backup = "head -c 100000 /dev/urandom | \(Program.nodeguard) backup put base --config \(fleet.configPath)"
        #expect(try Program.shell(backup).status == 0)
        let status = try fleet.status()
        // What stands under these keys is named by people.
        let names = ["last_success"]
        #expect(
            keys(of: status, except: names).filter { $0.wholeMatch(of: /[a-z][a-z0-9]*(_[a-z0-9]+)*/) == nil } == [])
        let backups = try #require(status["backups"] as? [String: Any])
        #expect((backups["last_success"] as? [String: Any])?.keys.sorted() == ["base"])

        let lanes = try #require(status["lanes"] as? [[String: Any]])
        let labels = lanes.compactMap { $0["label"] as? String }.filter {
            !$0.hasPrefix("relay-") && !$0.hasPrefix("hand")
        }
        let slots = (1...4).flatMap { ["backups-client-\($0)", "backups-stream-\($0)"] }
        let expected =
            slots + [
                "audit-shipping", "audit-spool", "backups-housekeeping", "backups-streams", "certificates", "desired",
                "exposure", "files", "observed", "plane", "publish", "reload",
            ]
        // Each generation of credentials has a lane of its own; the one before may be ending.
        #expect(labels.filter { !$0.hasPrefix("plane-") }.sorted() == expected.sorted())
        #expect(labels.contains { $0.wholeMatch(of: /plane-[0-9]+/) != nil })
        #expect(Set(labels).count == labels.count)
        #expect(lanes.allSatisfy { $0["load"] is NSNumber && $0["lag_seconds"] is NSNumber })
    }

    private func keys(of value: Any, except names: [String]) -> [String] {
        if let members = value as? [String: Any] {
            return members.flatMap { key, value in [key] + (names.contains(key) ? [] : keys(of: value, except: names)) }
        }
        return (value as? [Any])?.flatMap { keys(of: $0, except: names) } ?? []
    }

    @Test func `keeps its secrets: no key can be read by others and no core dump be made`() async throws {
        let fleet = try await Fleet()
        let open = try Program.shell(
            "find \(fleet.folder)/node -name '*key*' -perm /077; find \(fleet.folder)/node -maxdepth 0 -perm /077")
        #expect(open.output == "")
        let limits = try String(contentsOfFile: "/proc/\(fleet.agent.identifier)/limits", encoding: .utf8)
        #expect(limits.contains(/Max core file size\s+0\s+0/))
    }
}
