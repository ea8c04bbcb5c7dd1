import Foundation
import Testing

@Suite(.serialized) struct `The desired state` {
    private func fleet() async throws -> Fleet {
        let fleet = try await Fleet()
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/app/desk")
        let isServed = await eventually(within: 30) { (try? fleet.psql("select 1", as: "desk").status) == 0 }
        try #require(isServed, "\(fleet.agent.log)")
        return fleet
    }

    private func set(_ fleet: Fleet, _ text: String) throws {
        try text.write(toFile: fleet.folder + "/desired.json", atomically: true, encoding: .utf8)
        try fleet.command(["desired", "set", fleet.folder + "/desired.json", "--cluster", Fleet.cluster])
    }

    private func hold(_ fleet: Fleet, _ name: String) throws -> Program {
        try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: name), "-c", "select pg_sleep(60)"],
            log: fleet.folder + "/\(name).log")
    }

    private func open(_ fleet: Fleet) -> Int? {
        ((try? fleet.status())?["proxy"] as? [String: Any])?["connections"] as? Int
    }

    /// As the plane shows it.
    private func line(_ fleet: Fleet) throws -> [String: Any] {
        let text = try fleet.command(["nodes", "--json"]).output
        let all = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
        return try #require(all?.first)
    }

    /// Of the role's certificate.
    private func serial(_ fleet: Fleet) throws -> String? {
        let roles = (try line(fleet)["observed"] as? [String: Any])?["certificates"] as? [[String: Any]]
        return roles?.first { $0["role"] as? String == "database" }?["serial"] as? String
    }

    private func instance(_ fleet: Fleet) -> String? {
        ((try? line(fleet))?["observed"] as? [String: Any])?["instance"] as? String
    }

    private func applied(_ fleet: Fleet) -> Int? {
        let observed = (try? line(fleet))?["observed"] as? [String: Any]
        return (observed?["desired"] as? [String: Any])?["version"] as? Int
    }

    private static let denial = #"{"deny":[{"uri":"spiffe://cluster-a/app/shop"}]}"#

    @Test func `denies a client: its live session is cut, and it stays so offline and over a restart`() async throws {
        let fleet = try await fleet()
        let (shop, desk) = (try hold(fleet, "shop"), try hold(fleet, "desk"))
        let areHeld = await eventually(within: 20) { open(fleet) == 2 }
        #expect(areHeld)
        try set(fleet, Self.denial)
        let status = await shop.waitForExit(within: 30)
        #expect(status != nil && shop.log.contains("is denied"), "\(shop.log)\n\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("denied"))
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        #expect(desk.isRunning)
        let isTold = await eventually(within: 30) { applied(fleet) == 1 }
        #expect(isTold, "\((try? line(fleet)) ?? [:])")
        #expect(try fleet.nodeguard(["audit", "tail"]).output.contains("desired-state.applied"))
        let explained = try fleet.nodeguard([
            "explain", "--listener", "ysql", "--certificate", fleet.folder + "/shop/client.crt", "--user", "postgres",
        ])
        #expect(explained.status == 4 && explained.output.contains("denied by a deny list: uri"), "\(explained)")
        fleet.plane.kill()
        desk.kill()
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isServedAgain = await eventually(within: 20) { (try? fleet.psql("select 1", as: "desk").output) == "1\n" }
        #expect(isServedAgain, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("denied"))
        let desired = try fleet.status()["desired"] as? [String: Any]
        #expect((desired?["applied"] as? [String: Any])?["version"] as? Int == 1, "\(desired ?? [:])")
    }

    @Test func `narrows a listener's rules, and never widens them; what does not fit changes nothing`() async throws {
        let fleet = try await fleet()
        try fleet.clientCertificate("stranger", uri: "spiffe://elsewhere/app/stranger")
        try set(
            fleet,
            """
            {"listeners":{"ysql":{"allow":[{"uri":"spiffe://cluster-a/app/desk"},{"uri":"spiffe://elsewhere/*"}]},
             "other":{"deny":[{"dns":"x"}]}}}
            """)
        let isNarrowed = await eventually(within: 30) { (try? fleet.psql("select 1", as: "shop").status) != 0 }
        #expect(isNarrowed, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        #expect(try fleet.psql("select 1", as: "stranger").status != 0)
        try set(fleet, #"{"listeners":{"ysql":{"deny":[{"usage":"no such usage"}]}}}"#)
        let isRefused = await eventually(within: 30) {
            (try? fleet.command(["nodes"]).output.contains("1 of 2, not-applicable")) == true
        }
        #expect(isRefused, "\((try? line(fleet)) ?? [:])")
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        #expect(try fleet.psql("select 1", as: "shop").status != 0)
        #expect(try fleet.nodeguard(["status"]).output.contains("DESIRED_STATE_REFUSED"))
        try set(fleet, "{}")
        let isOpen = await eventually(within: 90) { (try? fleet.psql("select 1", as: "shop").status) == 0 }
        #expect(isOpen, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "stranger").status != 0)
    }

    @Test func `that is damaged on the disk lets nobody in until the plane gives it again`() async throws {
        let fleet = try await fleet()
        try set(fleet, Self.denial)
        let isApplied = await eventually(within: 30) { applied(fleet) == 1 }
        #expect(isApplied)
        fleet.plane.kill()
        #expect(fleet.agent.stop() == 0)
        try "garbage".write(toFile: fleet.folder + "/node/desired/envelope.json", atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isTold = await eventually(within: 30) { fleet.agent.log.contains("DESIRED_STATE_UNUSABLE") }
        #expect(isTold, "\(fleet.agent.log)")
        try await fleet.waitUntilReady()
        #expect(try fleet.psql("select 1", as: "desk").status != 0)
        try await fleet.restartPlane()
        let isServed = await eventually(within: 90) { (try? fleet.psql("select 1", as: "desk").status) == 0 }
        #expect(isServed, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("denied"))
    }

    @Test func `orders a certificate to be renewed, once`() async throws {
        let fleet = try await fleet()
        let isTold = await eventually(within: 30) { (try? serial(fleet)) != nil }
        #expect(isTold)
        let before = (serial: try serial(fleet), instance: instance(fleet))
        try set(fleet, #"{"reissue":[{"id":"first","role":"database"},{"id":"none","role":"nobody"}]}"#)
        let isDone = await eventually(within: 60) {
            (try? fleet.command(["desired", "show", "--cluster", Fleet.cluster]).output.contains("order none absent"))
                == true && (try? serial(fleet)) != before.serial
        }
        #expect(isDone, "\((try? line(fleet)) ?? [:])")
        let after = try serial(fleet)
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isBack = await eventually(within: 30) { instance(fleet) != nil && instance(fleet) != before.instance }
        #expect(isBack)
        #expect(try serial(fleet) == after)
        let results = (try line(fleet)["observed"] as? [String: Any])?["desired"] as? [String: Any]
        let orders = (results?["results"] as? [[String: String]])?.map {
            "\($0["resource"] ?? "") \($0["outcome"] ?? "")"
        }
        #expect(orders == ["order first applied", "order none absent"])
    }

    @Test func `sees a node whose state folder was set back`() async throws {
        let fleet = try await fleet()
        let isTold = await eventually(within: 30) { applied(fleet) != nil }
        #expect(isTold)
        #expect(fleet.agent.stop() == 0)
        let copied = try Program.shell("cp -a \(fleet.folder)/node \(fleet.folder)/copy")
        #expect(copied.status == 0)
        for _ in 0..<2 {
            try fleet.startAgent()
            try await fleet.waitUntilReady()
            let isServed = await eventually(within: 30) {
                (try? fleet.status()["observed"] as? [String: Any])?["generation"] != nil
            }
            #expect(isServed)
            #expect(fleet.agent.stop() == 0)
        }
        #expect(try line(fleet)["finding"] == nil)
        let restored = try Program.shell(
            "rm -r \(fleet.folder)/node && mv \(fleet.folder)/copy \(fleet.folder)/node")
        #expect(restored.status == 0)
        try fleet.startAgent()
        let isSeen = await eventually(within: 30) { (try? line(fleet))?["finding"] as? String == "set-back" }
        #expect(isSeen, "\((try? line(fleet)) ?? [:])")
        #expect(try fleet.command(["audit", "tail", "--plane", "-n", "50"]).output.contains("node.set-back"))
    }
}
