import Foundation
import Testing

@Suite(.serialized) struct `A backup` {
    @Test func `of the real database comes back byte for byte, and its stored bytes show nothing`() async throws {
        let fleet = try await Fleet()
        let script = """
            pg_basebackup -h 127.0.0.1 -p \(fleet.postgres.port) -U postgres -c fast -Ft -X fetch -D - \
            >\(fleet.folder)/base.tar &&
            \(Program.nodeguard) backup put base --config \(fleet.configPath) <\(fleet.folder)/base.tar &&
            \(Program.nodeguard) backup verify base --config \(fleet.configPath) &&
            \(Program.nodeguard) backup get base --config \(fleet.configPath) | cmp - \(fleet.folder)/base.tar &&
            ! grep -rqaF PG_VERSION \(fleet.folder)/backups
            """
        let outcome = try Program.shell(script)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try fleet.nodeguard(["backup", "list"]).output.contains("base"))
    }

    @Test func `is not made by a producer that fails or gives nothing`() async throws {
        let fleet = try await Fleet()
        let failing = try Program.run(
            Program.nodeguard,
            ["backup", "run", "--config", fleet.configPath, "half", "--", "/bin/sh", "-c", "echo something; exit 3"])
        #expect(failing.status != 0 && failing.status != 78 && failing.status != 64, "\(failing)")
        for more in [[], ["--allow-empty"]] {
            let silent = try Program.run(
                Program.nodeguard,
                ["backup", "run", "--config", fleet.configPath, "half"] + more + ["--", "/bin/sh", "-c", "exit 4"])
            #expect(silent.status == 2 && silent.errors.contains("the producer ended with status 4"), "\(silent)")
        }
        let empty = try fleet.nodeguard(["backup", "put", "nothing"], input: "")
        #expect(empty.status != 0 && empty.errors.contains("--allow-empty"), "\(empty)")
        let list = try fleet.nodeguard(["backup", "list"]).output
        #expect(!list.contains("half") && !list.contains("nothing"), "\(list)")
    }

    @Test func `cannot be read once a byte of it has changed`() async throws {
        let fleet = try await Fleet()
        #expect(
            try fleet.nodeguard(["backup", "put", "base"], input: String(repeating: "row\n", count: 500_000)).status
                == 0)
        let volume = try Program.shell("find \(fleet.folder)/backups -name '000000.ngb'").output
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: volume))
        try handle.seek(toOffset: 1_500_000)
        let old = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: 1_500_000)
        try handle.write(contentsOf: Data([old ^ 1]))
        try handle.close()
        #expect(try fleet.nodeguard(["backup", "verify", "base"]).status != 0)
        let got = try fleet.nodeguard(["backup", "get", "base"])
        #expect(got.status != 0)
        #expect(got.output.utf8.count == 1 << 20, "exactly the frames before the damaged one may come out")
    }

    @Test func `whose producer stalls does not hold up the daemon's stop`() async throws {
        let fleet = try await Fleet()
        let put = try Program(
            "/bin/bash",
            [
                "-c",
                """
                mkfifo \(fleet.folder)/silent &&
                exec \(Program.nodeguard) backup put base --config \(fleet.configPath) <>\(fleet.folder)/silent
                """,
            ], log: fleet.folder + "/put.log")
        let hasBegun = await eventually(within: 20) { fleet.agent.log.contains("backup.started") }
        #expect(hasBegun)
        #expect(fleet.agent.stop() == 0)
        #expect(put.stop() != 0)
        #expect(put.log.contains("nodeguard is stopping"), "\(put.log)")
        // What the plane had no time to take is durable, and comes with the next start.
        try fleet.startAgent()
        let hasArrived = await eventually(within: 20) {
            (try? fleet.arrivedEvents())?.contains("backup.failed") == true
        }
        #expect(hasArrived, "\(fleet.agent.log)")
        #expect(!(try fleet.arrivedEvents().contains("audit.gap")))
    }

    @Test func `needs its key: while the plane is away nothing is written`() async throws {
        let fleet = try await Fleet()
        fleet.plane.kill()
        let outcome = try fleet.nodeguard(["backup", "put", "base"], input: "hello")
        #expect(outcome.status != 0)
        let files = try Program.shell("find \(fleet.folder)/backups -type f").output
        #expect(files == "", "\(files)")
    }
}
