import Foundation
import Testing

@Suite(.serialized) struct `A wrong configuration` {
    @Test func `is refused with every mistake at once, where it is and what was meant`() async throws {
        let fleet = try await Fleet(start: false)
        let wrong = fleet.configuration
            .replacing("listen:", with: "lisen:")
            .replacing("protocol: postgres", with: "protocol: postgers")
            .replacing("backups:", with: "backup:")
        try wrong.write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        for arguments in [["run"], ["config", "check"]] {
            let outcome = try fleet.nodeguard(arguments)
            #expect(outcome.status == 78)
            let said = outcome.output + outcome.errors
            #expect(said.contains(/nodeguard\.yaml:9:7: .*lisen.*listen/), "\(outcome)")
            #expect(said.contains(/nodeguard\.yaml:10:\d+: .*postgers/), "\(outcome)")
            #expect(said.contains(/nodeguard\.yaml:\d+:1: .*backup.*backups/), "\(outcome)")
        }
    }

    @Test func `names every file of authorities that cannot be used, before anything starts`() async throws {
        let fleet = try await Fleet(start: false)
        try "no certificate".write(toFile: fleet.folder + "/empty.pem", atomically: true, encoding: .utf8)
        let trust = "trust: [\"file:\(fleet.folder)/empty.pem\", \"file:/nonexistent/ca.pem\"]"
        try fleet.configuration.replacing("trust: [cluster]", with: trust)
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        for arguments in [["run"], ["config", "check"]] {
            let outcome = try fleet.nodeguard(arguments)
            #expect(outcome.status == 78)
            #expect(
                outcome.errors.contains("empty.pem") && outcome.errors.contains("/nonexistent/ca.pem"), "\(outcome)")
        }
    }

    @Test func `that names a backend nobody resolves now is tried again, not given up`() async throws {
        let fleet = try await Fleet(start: false)
        try fleet.configuration.replacing("backend: 127.0.0.1:", with: "backend: nowhere.invalid:")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        let outcome = try fleet.nodeguard(["run"])
        #expect(outcome.status == 2, "RestartPreventExitStatus=78 would leave the node down: \(outcome)")
        #expect(outcome.errors.contains("nowhere.invalid"))
    }

    @Test func `never starts half a daemon: a port that is taken is one clear line`() async throws {
        let fleet = try await Fleet(start: false)
        let taken = try Program(
            "/usr/bin/python3",
            ["-c", "import socket,time; s=socket.create_server(('127.0.0.1',\(fleet.listenPort))); s.accept()"],
            log: fleet.folder + "/taken.log")
        let isTaken = await eventually(within: 20) {
            (try? Program.shell("ss -Htln sport = :\(fleet.listenPort) | grep -q .").status) == 0
        }
        #expect(isTaken)
        try fleet.startAgent()
        let status = await fleet.agent.waitForExit(within: 60)
        #expect(status != nil && status != 0, "\(fleet.agent.log)")
        #expect(fleet.agent.log.contains(/127\.0\.0\.1:\d+.*in use/), "\(fleet.agent.log)")
        #expect(!fleet.agent.log.contains("VerbFailure"), "the reason is told in words: \(fleet.agent.log)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: fleet.folder + "/run") == [])
        taken.kill()
    }

    @Test func `that wants clients' own addresses without the right to them starts nothing, and says what is missing`()
        async throws
    {
        let fleet = try await Fleet(start: false)
        try fleet.configuration.replacing("backend:", with: "backend-source: transparent\n      backend:")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        let outcome = try Program.run(
            "/usr/bin/setpriv",
            ["--bounding-set=-net_admin,-net_raw", Program.nodeguard, "run", "--config", fleet.configPath])
        #expect(outcome.status != 0 && outcome.errors.contains("needs CAP_NET_ADMIN"), "\(outcome)")
    }
}
