import Foundation
import Testing

private let takesItsTime = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

@Suite(.serialized) struct `A node that outlives its plane` {
    private func events(of fleet: Fleet) -> String {
        (try? fleet.command(["journal", "-n", "500"]).output) ?? ""
    }

    @Test func `renews, ships and unwraps at the one that was restored`() async throws {
        let fleet = try await Fleet()
        let (key, file) = (fleet.folder + "/operator", fleet.folder + "/plane.backup")
        #expect(try Program.run(Program.plane, ["backup", "key", "--out", key]).status == 0)
        #expect(try fleet.nodeguard(["backup", "put", "base"], input: "a row\n").status == 0)
        let shipped = await eventually(within: 30) { ((try? fleet.auditVerdict())?.output.contains("intact") ?? false) }
        #expect(shipped)
        try fleet.command(["backup", "--to", file, "--recipient", key + ".pub"])
        // What the backup does not know of.
        #expect(try fleet.nodeguard(["certificates", "renew", "node"]).status == 0)
        let isRenewed = await eventually(within: 30) { events(of: fleet).contains("certificate.renew") }
        #expect(isRenewed)
        let arrived = (try? fleet.arrivedEvents()) ?? ""
        #expect(try fleet.psql("select 1").status == 0)
        let isAhead = await eventually(within: 30) { (try? fleet.arrivedEvents()) != arrived }
        #expect(isAhead)

        fleet.plane.kill()
        try FileManager.default.removeItem(atPath: fleet.folder + "/plane")
        try fleet.command(["restore", file, "--key", key, "--without-lists"])
        try await fleet.restartPlane()
        #expect(try fleet.nodeguard(["certificates", "renew", "node"]).status == 0)
        let isBack = await eventually(within: 60) {
            let events = events(of: fleet)
            return events.contains("identity.adopt") && events.contains("certificate.renew")
        }
        #expect(isBack, "\(events(of: fleet))\n\(fleet.agent.log)")
        let isSaid = await eventually(within: 60) { events(of: fleet).contains("audit.gap") }
        #expect(isSaid, "\(events(of: fleet))")
        let before = (try? fleet.arrivedEvents()) ?? ""
        #expect(try fleet.psql("select 2").status == 0)
        let goesOn = await eventually(within: 60) { (try? fleet.arrivedEvents()) != before }
        #expect(goesOn)
        #expect(try fleet.auditVerdict().status == 0)
        #expect(try fleet.nodeguard(["backup", "get", "base"]).output == "a row\n")
    }

    @Test(.enabled(if: takesItsTime))
    func `gets another identity by itself when its own expired meanwhile`() async throws {
        let fleet = try await Fleet(start: false)
        try fleet.command([
            "role", "allow", "--cluster", Fleet.cluster, "--node", Fleet.node, "--role", "node", "--dns", Fleet.node,
            "--uri", "spiffe://\(Fleet.cluster)/node/\(Fleet.node)", "--usage", "client", "--lifetime", "20",
        ])
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isKnown = await eventually(within: 30) { events(of: fleet).contains("recovery.key") }
        #expect(isKnown, "\(fleet.agent.log)")
        fleet.plane.kill()
        let hasExpired = await eventually(within: 60) {
            identityPhase(fleet).map { $0 != "active" && $0 != "renewing" } ?? false
        }
        #expect(hasExpired, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1").output == "1\n", "the ports go on")
        try await fleet.restartPlane()
        let isBack = await eventually(within: 120) {
            events(of: fleet).contains("recovery.use") && identityPhase(fleet) == "active"
        }
        #expect(isBack, "\(events(of: fleet))\n\(fleet.agent.log)")
        #expect(try fleet.psql("select 2").output == "2\n")
    }

    private func identityPhase(_ fleet: Fleet) -> String? {
        let status = try? fleet.status()
        let rows = (status?["certificates"] as? [String: Any])?["roles"] as? [[String: Any]]
        return rows?.first { $0["role"] as? String == "node" }?["state"] as? String
    }
}
