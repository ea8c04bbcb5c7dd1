import Foundation
import Testing

@Suite(.serialized) struct `A reload` {
    private static let before = "allow: [ { uri: \"spiffe://\(Fleet.cluster)/app/*\" } ]"

    private func change(_ fleet: Fleet, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: fleet.configPath, encoding: .utf8)
        #expect(text.contains(old))
        try text.replacingOccurrences(of: old, with: new)
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
    }

    @Test func `takes new rules over, and ends the live sessions that they do not allow`() async throws {
        let fleet = try await Fleet()
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/desk/a")
        #expect(try fleet.psql("select 1", as: "desk").status != 0)
        try change(fleet, Self.before, "allow: [ { uri: \"spiffe://\(Fleet.cluster)/desk/*\" } ]")
        let held = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: "shop"), "-c", "select pg_sleep(60)"],
            log: fleet.folder + "/held.log")
        let isHeld = await eventually(within: 20) { (try? fleet.status()).map(Self.open) == 1 }
        #expect(isHeld)
        let reload = try fleet.nodeguard(["reload"])
        #expect(reload.status == 0 && reload.output.contains("in effect: proxy.listeners.ysql.allow"), "\(reload)")
        let status = await held.waitForExit(within: 60)
        #expect(status != 0)
        #expect(held.log.contains("no longer allowed"), "\(held.log)")
        #expect(try fleet.psql("select 1", as: "shop").status != 0)
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
    }

    @Test func `with a mistake changes nothing and says where it is; one that needs a restart is named`() async throws {
        let fleet = try await Fleet()
        try change(fleet, "allow: [", "alow: [")
        let refused = try fleet.nodeguard(["reload"])
        #expect(refused.status == 78 && refused.errors.contains("did you mean 'allow'"), "\(refused)")
        kill(fleet.agent.identifier, SIGHUP)
        let isTold = await eventually(within: 20) { fleet.agent.log.contains("CONFIGURATION_REFUSED") }
        #expect(isTold)
        #expect(try fleet.psql("select 1").output == "1\n")
        try change(fleet, "alow: [", "allow: [")
        try change(fleet, "protocol: postgres", "protocol: tcp")
        let pending = try fleet.nodeguard(["reload", "--json"])
        #expect(pending.output.contains(#""needs_restart":["proxy.listeners.ysql.protocol"]"#), "\(pending)")
        #expect(try fleet.psql("select 1").output == "1\n", "the running listener speaks what it spoke")
        let codes = (try fleet.status()["reasons"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String }
        #expect(codes.contains("CONFIGURATION_NEEDS_RESTART"))
        #expect(!codes.contains("CONFIGURATION_REFUSED"), "the mistake is forgotten")
    }

    @Test func `takes new limits over without a restart, and cuts nobody`() async throws {
        let fleet = try await Fleet()
        let held = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: "shop"), "-c", "select pg_sleep(300)"],
            log: fleet.folder + "/held.log")
        let isHeld = await eventually(within: 30) { (try? fleet.status()).map(Self.open) == 1 }
        #expect(isHeld)
        try change(fleet, "proxy:\n", "proxy:\n  limits: { connections: 1 }\n")
        let lowered = try fleet.nodeguard(["reload", "--json"])
        #expect(lowered.output.contains("\"applied\":[\"proxy.limits.connections\"]"), "\(lowered)")
        #expect(lowered.output.contains("\"needs_restart\":[]"), "\(lowered)")
        let refused = try fleet.psql("select 1")
        #expect(refused.status != 0 && refused.errors.contains("connections of the proxy: 1"), "\(refused)")
        #expect(try Self.open(fleet.status()) == 1)
        try change(fleet, "connections: 1 }", "connections: 2 }")
        #expect(try fleet.nodeguard(["reload"]).output.contains("in effect: proxy.limits.connections"))
        #expect(try fleet.psql("select 1").output == "1\n")
        withExtendedLifetime(held) {}
    }

    @Test func `is foretold by explain`() async throws {
        let fleet = try await Fleet(start: false)
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/desk/a")
        func explain(_ name: String) throws -> Outcome {
            try fleet.nodeguard([
                "explain", "--listener", "ysql", "--certificate", "\(fleet.folder)/\(name)/client.crt",
            ])
        }
        let allowed = try explain("shop")
        #expect(allowed.status == 0 && allowed.output.contains("allowed by allow[0] {uri: spiffe://"), "\(allowed)")
        let refused = try explain("desk")
        #expect(refused.status == 4 && refused.output.contains("the only rule"), "\(refused)")
        try change(fleet, Self.before, Self.before + "\n      deny: [ { common-name: shop } ]")
        let denied = try explain("shop")
        #expect(denied.status == 4 && denied.output.contains("denied by deny[0] {common-name: shop}"), "\(denied)")
    }

    private static func open(_ status: [String: Any]) -> Int {
        let proxy =
            (status["sections"] as? [String: Any])?["proxy"] as? [String: Any] ?? status["proxy"] as? [String: Any]
        return proxy?["connections"] as? Int ?? -1
    }
}
