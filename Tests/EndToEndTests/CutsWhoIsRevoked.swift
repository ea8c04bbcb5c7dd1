import Foundation
import Testing

@Suite(.serialized) struct `What is taken back` {
    /// A fleet whose listener looks clients up in the plane's CRL, and in a deny list.
    private func fleet() async throws -> Fleet {
        let fleet = try await Fleet(start: false)
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/app/desk")
        try "# nobody\n".write(toFile: fleet.folder + "/denied", atomically: true, encoding: .utf8)
        try fetchList(fleet)
        let keys = """
            trust: [cluster]
                  crl: ["file:\(fleet.folder)/crl.der"]
                  crl-check: leaf
                  deny-list: \(fleet.folder)/denied
            """
        try fleet.configuration.replacing("trust: [cluster]", with: keys)
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        return fleet
    }

    /// Under another name, then renamed: what is there is always whole.
    private func fetchList(_ fleet: Fleet) throws {
        let outcome = try Program.shell(
            """
            cd \(fleet.folder) &&
            curl -sfk -o crl.new https://127.0.0.1:\(fleet.planePort)/v1/clusters/\(Fleet.cluster)/crl &&
            mv crl.new crl.der
            """)
        try #require(outcome.status == 0, "\(outcome)")
    }

    private func serial(_ fleet: Fleet, _ name: String) throws -> String {
        let told = try Program.run(
            "/usr/bin/openssl", ["x509", "-noout", "-serial", "-in", "\(fleet.folder)/\(name)/client.crt"])
        return told.output.trimmingCharacters(in: .whitespacesAndNewlines).replacing("serial=", with: "")
    }

    private func hold(_ fleet: Fleet, _ name: String) throws -> Program {
        try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: name), "-c", "select pg_sleep(60)"],
            log: fleet.folder + "/\(name).log")
    }

    private func explain(_ fleet: Fleet, _ name: String) throws -> Outcome {
        try fleet.nodeguard([
            "explain", "--listener", "ysql", "--certificate", "\(fleet.folder)/\(name)/client.crt", "--user",
            "postgres",
        ])
    }

    private func open(_ fleet: Fleet) -> Int? {
        ((try? fleet.status())?["proxy"] as? [String: Any])?["connections"] as? Int
    }

    @Test func `by the plane's CRL ends live sessions and new ones, and no other`() async throws {
        let fleet = try await fleet()
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let (shop, desk) = (try hold(fleet, "shop"), try hold(fleet, "desk"))
        let areHeld = await eventually(within: 20) { open(fleet) == 2 }
        #expect(areHeld)
        try fleet.command(["revoke", try serial(fleet, "shop")])
        try fetchList(fleet)
        let status = await shop.waitForExit(within: 30)
        #expect(status != nil && shop.log.contains("has been revoked"), "\(shop.log)")
        let refused = try fleet.psql("select 1", as: "shop")
        #expect(refused.status != 0 && refused.errors.contains("revoked"), "\(refused)")
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        #expect(desk.isRunning)
        let explained = try explain(fleet, "shop")
        #expect(explained.status == 4 && explained.output.contains("is revoked"), "\(explained)")
        #expect(try explain(fleet, "desk").status == 0)
        let proxy = try fleet.status()["proxy"] as? [String: Any]
        let listener = (proxy?["listeners"] as? [[String: Any]])?.first
        let lists = (listener?["crl"] as? [String: Any])?["lists"] as? [[String: Any]]
        let isShown = lists?.contains { $0["revoked"] as? Int == 1 && $0["state"] as? String == "fresh" }
        #expect(isShown == true, "\(lists ?? [])")
        #expect(try fleet.nodeguard(["audit", "tail"]).output.contains("revocation.list-adopted"))
        desk.kill()
    }

    @Test func `by the deny list ends live sessions and new ones, and a mistake in it changes nothing`() async throws {
        let fleet = try await fleet()
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let shop = try hold(fleet, "shop")
        let isHeld = await eventually(within: 20) { open(fleet) == 1 }
        #expect(isHeld)
        try "uri spiffe://\(Fleet.cluster)/app/shop\n"
            .write(toFile: fleet.folder + "/denied", atomically: true, encoding: .utf8)
        let exit = await shop.waitForExit(within: 30)
        #expect(exit != nil && shop.log.contains("is denied"), "\(shop.log)")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("denied"))
        let explained = try explain(fleet, "shop")
        #expect(
            explained.status == 4 && explained.output.contains("denied by a deny list: uri spiffe://"), "\(explained)")
        try "uri spiffe://\(Fleet.cluster)/app/desk\nuri\n"
            .write(toFile: fleet.folder + "/denied", atomically: true, encoding: .utf8)
        let isTold = await eventually(within: 20) { fleet.agent.log.contains("denied:2: 'uri' has no value") }
        #expect(isTold, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        let status = try fleet.nodeguard(["status"])
        #expect(status.output.contains("DENY_LIST_REFUSED"), "\(status)")
    }

    @Test func `is there before a port opens: without it nothing starts`() async throws {
        let fleet = try await fleet()
        try FileManager.default.removeItem(atPath: fleet.folder + "/crl.der")
        try "nonsense\n".write(toFile: fleet.folder + "/denied", atomically: true, encoding: .utf8)
        for arguments in [["run"], ["config", "check"]] {
            let outcome = try fleet.nodeguard(arguments)
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("/crl.der"), "\(outcome)")
            #expect(outcome.errors.contains("denied:1: 'nonsense' is no key of a deny list"), "\(outcome)")
        }
    }

    // MARK: the plane's lists, fetched by the agent itself

    private func fleetOfCluster() async throws -> Fleet {
        let fleet = try await Fleet(start: false)
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/app/desk")
        try fleet.configuration.replacing("trust: [cluster]", with: "trust: [cluster]\n      crl: [cluster]")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        return fleet
    }

    @Test func `at the plane ends live sessions at once, and stays so without the plane`() async throws {
        let fleet = try await fleetOfCluster()
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isServed = await eventually(within: 20) { (try? fleet.psql("select 1").status) == 0 }
        #expect(isServed, "\(fleet.agent.log)")
        let (shop, desk) = (try hold(fleet, "shop"), try hold(fleet, "desk"))
        let areHeld = await eventually(within: 20) { open(fleet) == 2 }
        #expect(areHeld)
        let began = ContinuousClock.now
        try fleet.command(["revoke", try serial(fleet, "shop")])
        let status = await shop.waitForExit(within: 30)
        #expect(status != nil && shop.log.contains("has been revoked"), "\(shop.log)")
        #expect(ContinuousClock.now - began < .seconds(30), "a question every minute would take longer")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("revoked"))
        #expect(try fleet.psql("select 1", as: "desk").output == "1\n")
        #expect(desk.isRunning)
        let explained = try explain(fleet, "shop")
        #expect(explained.status == 4 && explained.output.contains("is revoked"), "\(explained)")
        let lists = (try fleet.status()["revocation"] as? [String: Any])?["lists"] as? [[String: Any]]
        #expect(lists?.count == 2 && lists?.contains { $0["revoked"] as? Int == 1 } == true, "\(lists ?? [])")
        #expect(try fleet.nodeguard(["audit", "tail"]).output.contains("revocation.list-adopted"))
        fleet.plane.kill()
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("revoked"))
        #expect(desk.isRunning)
        desk.kill()
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isServedAgain = await eventually(within: 20) { (try? fleet.psql("select 1", as: "desk").output) == "1\n" }
        #expect(isServedAgain, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1", as: "shop").errors.contains("revoked"))
    }

    /// Nothing is believed before there is a list.
    @Test func `is unknown while the plane has given no list, and nobody is let in`() async throws {
        let fleet = try await fleetOfCluster()
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let isServed = await eventually(within: 20) { (try? fleet.psql("select 1").status) == 0 }
        #expect(isServed, "\(fleet.agent.log)")
        fleet.plane.kill()
        #expect(fleet.agent.stop() == 0)
        try FileManager.default.removeItem(atPath: fleet.folder + "/node/revocation")
        try fleet.startAgent()
        let isTold = await eventually(within: 30) { fleet.agent.log.contains("LISTENER_WITHOUT_CRL") }
        #expect(isTold, "\(fleet.agent.log)")
        #expect(try fleet.psql("select 1").status != 0)
        try await fleet.restartPlane()
        let isServedAgain = await eventually(within: 90) { (try? fleet.psql("select 1").status) == 0 }
        #expect(isServedAgain, "\(fleet.agent.log)")
    }
}
