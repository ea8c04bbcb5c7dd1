import Foundation
import Testing

/// A node knows one name, `localhost`, with two addresses and a plane at each; both planes keep their state in the
/// fleet's PostgreSQL.
@Suite(.serialized) struct `Two planes for one fleet` {
    private func startPlane(_ fleet: Fleet, _ name: String, at address: String) async throws -> Program {
        let plane = try Program(
            Program.plane,
            ["run", "--state", "\(fleet.folder)/\(name)", "--listen", "\(address):\(fleet.planePort)"],
            log: "\(fleet.folder)/\(name)-\(UUID().uuidString).log")
        let isListening = await eventually(within: 30) { plane.log.contains("listening on https://") }
        try #require(isListening, "\(plane.log)")
        return plane
    }

    /// The fleet as it is made, with its plane replaced by two over one database.
    private func makeFleet() async throws -> (fleet: Fleet, planes: [Program]) {
        let fleet = try await Fleet(start: false)
        fleet.plane.kill()
        let state = fleet.folder + "/plane"
        try FileManager.default.removeItem(atPath: state)
        try FileManager.default.createDirectory(
            atPath: state, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let made = try Program.run(
            "/usr/bin/psql",
            [
                "-XAtq", "-h", "127.0.0.1", "-p", String(fleet.postgres.port), "-U", "postgres", "-c",
                "CREATE DATABASE plane",
            ])
        try #require(made.status == 0, "\(made)")
        try Data("postgresql://postgres@127.0.0.1:\(fleet.postgres.port)/plane\n".utf8).write(
            to: URL(fileURLWithPath: state + "/database"))
        let first = try await startPlane(fleet, "plane", at: "127.0.0.1")
        try fleet.command(["cluster", "create", Fleet.cluster])
        try fleet.allowRole(lifetime: 30)
        try fleet.command(["trust", "--out", fleet.folder + "/trust.pem"])
        try fleet.clientCertificate("shop", uri: "spiffe://\(Fleet.cluster)/app/shop")
        let copied = try Program.run("/usr/bin/cp", ["-a", state, fleet.folder + "/plane-2"])
        try #require(copied.status == 0, "\(copied)")
        let second = try await startPlane(fleet, "plane-2", at: "[::1]")
        let url = "https://localhost:\(fleet.planePort)"
        let token = try fleet.command([
            "token", "create", "--cluster", Fleet.cluster, "--node", Fleet.node, "--url", url,
        ])
        let bundle = fleet.folder + "/node/join/bundle"
        try token.output.write(toFile: bundle, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: bundle)
        try fleet.configuration.replacing("https://127.0.0.1:\(fleet.planePort)", with: url)
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        return (fleet, [first, second])
    }

    private func servedSerial(_ fleet: Fleet) throws -> String {
        try Program.shell(
            "openssl x509 -noout -serial -in \(fleet.folder)/node/certificates/database/current/chain.pem"
        ).output
    }

    @Test func `let it renew, ship and open backups while one is killed, and then the other`() async throws {
        let (fleet, started) = try await makeFleet()
        var planes = started
        var queries = 0
        for round in 0..<4 {
            let victim = round % 2
            let before = try servedSerial(fleet)
            planes[victim].kill()
            for _ in 0..<5 {
                #expect(try fleet.psql("select 1").status == 0)
                queries += 1
            }
            let sealed = try fleet.nodeguard(["backup", "put", "round-\(round)"], input: "round \(round)")
            #expect(sealed.status == 0, "\(sealed)")
            let isRenewed = await eventually(within: 60) { (try? servedSerial(fleet)) != before }
            #expect(isRenewed, "round \(round): \(fleet.agent.log.suffix(2000))")
            planes[victim] = try await startPlane(
                fleet, victim == 0 ? "plane" : "plane-2", at: victim == 0 ? "127.0.0.1" : "[::1]")
        }
        for round in 0..<4 {
            let opened = try fleet.nodeguard(["backup", "get", "round-\(round)"])
            #expect(opened.status == 0 && opened.output == "round \(round)", "\(opened)")
        }
        let haveArrived = await eventually(within: 60) { [queries] in
            ((try? fleet.arrivedEvents())?.components(separatedBy: "connection.accepted").count ?? 0) > queries
        }
        #expect(haveArrived)
        for arguments in [["--node", Fleet.node], ["--plane"]] {
            let verdict = try fleet.command(["audit", "verify"] + arguments)
            #expect(verdict.output.hasPrefix("intact: "), "\(verdict)")
        }
        for plane in planes { plane.kill() }
    }
}
