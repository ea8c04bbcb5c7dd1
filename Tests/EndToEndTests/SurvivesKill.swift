import Foundation
import Testing

@Suite(.serialized) struct `SIGKILL at any moment` {
    /// More rounds in the slow proofs.
    private var rounds: Int { ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all" ? 200 : 6 }

    @Test func `loses no certificate and no event that had arrived, and repeats none`() async throws {
        let fleet = try await Fleet()
        let identity = try serial(of: "node", fleet)
        for round in 1...rounds {
            _ = try fleet.psql("select \(round)")
            await elapse(milliseconds: Int.random(in: 0...300))
            fleet.agent.kill()
            try fleet.startAgent()
            try await fleet.waitUntilReady()
        }
        #expect(try serial(of: "node", fleet) == identity)
        let hasArrived = await eventually(within: 30) {
            ((try? fleet.arrivedEvents())?.components(separatedBy: "agent.ended-uncleanly").count ?? 0) > self.rounds
        }
        #expect(hasArrived)
        let verdict = try fleet.auditVerdict()
        #expect(verdict.status == 0, "\(verdict)")
    }

    @Test func `in the middle of a backup leaves no backup, and the next one is good`() async throws {
        let fleet = try await Fleet()
        let put = try Program(
            "/bin/bash",
            [
                "-c",
                "head -c 300000000 /dev/urandom | \(Program.nodeguard) backup put base --config \(fleet.configPath)",
            ],
            log: fleet.folder + "/put.log")
        let hasBegun = await eventually(within: 20) {
            (try? Program.shell("find \(fleet.folder)/backups -type f | grep -q .").status) == 0
        }
        #expect(hasBegun)
        fleet.agent.kill()
        let status = await put.waitForExit(within: 30)
        #expect(status != 0, "the command line must say that the backup failed")
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(!(try fleet.nodeguard(["backup", "list"]).output.contains("base")))
        #expect(try fleet.nodeguard(["backup", "put", "base"], input: "hello").status == 0)
        #expect(try fleet.nodeguard(["backup", "get", "base"]).output == "hello")
    }

    private func serial(of role: String, _ fleet: Fleet) throws -> String {
        let chain = fleet.folder + "/node/certificates/\(role)/current/chain.pem"
        let shown = try Program.run("/usr/bin/openssl", ["x509", "-noout", "-serial", "-in", chain])
        try #require(shown.status == 0, "\(shown)")
        return shown.output
    }

    private func elapse(milliseconds: Int) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { continuation.resume() }
        }
    }
}
