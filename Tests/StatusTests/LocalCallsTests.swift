import Foundation
import Reports
import Synchronization
import Testing

@testable import Status

@Suite struct `The answers on the local sockets` {
    private let fixture = Fixture()
    private let root = PeerCredentials(process: 42, user: 0, group: 5)

    private func ask(
        _ path: String, _ method: String = "GET", query: String? = nil, caller: PeerCredentials? = nil
    ) async -> LocalAnswer {
        await LocalCalls(source: fixture.source, audit: fixture.audit).answer(
            method: method, path: path, query: query, caller: caller)
    }

    @Test func `count a node as alive until a lane is stuck`() async {
        #expect(await ask("/livez").status == 200)
        fixture.lanes.withLock { $0 = [LaneSample(label: "audit", jobCount: 1, busySeconds: 0, lagSeconds: 15.5)] }
        let answer = await ask("/livez")
        #expect(answer.status == 503)
        #expect(answer.body == "lane audit: no answer for 15 s\n")
    }

    @Test func `have beside the certificates what each port shows of them, and nothing else of it`() async {
        fixture.health.publish(section: "certificates", ["roles": [["role": "database"]]])
        #expect(await ask("/v1/certificates").body.contains("listeners") == false, "before the proxy has said anything")
        let port: JSONValue = [
            "name": "ysql", "addresses": ["127.0.0.1:1"], "state": "open", "open": 7,
            "certificates": [["serial": "0A", "names": ["a"]]],
        ]
        fixture.health.publish(section: "proxy", ["listeners": [port], "tunnels": []])
        let shown: JSONValue = [
            "name": "ysql", "addresses": ["127.0.0.1:1"], "state": "open",
            "certificates": [["serial": "0A", "names": ["a"]]],
        ]
        let expected: JSONValue = ["roles": [["role": "database"]], "listeners": [shown], "tunnels": []]
        #expect(await ask("/v1/certificates").body.contains(expected.text))
    }

    @Test func `say what is missing until the node is ready`() async {
        let before = await ask("/readyz")
        #expect(before.status == 503)
        #expect(before.body.contains("certificates: not started yet\n"))
        fixture.becomeReady()
        #expect(await ask("/readyz") == .text("ready\n"))
        fixture.health.beginDraining()
        #expect(await ask("/readyz").status == 503)
    }

    @Test func `stay ready while degraded, and name the reason and what to do`() async {
        fixture.becomeReady()
        fixture.health.raise(
            HealthReason("PLANE_UNREACHABLE", .warn, subject: "plane", detail: "refused", action: "check the network"))
        #expect(await ask("/readyz").status == 200)
        let brief = await ask("/healthz")
        #expect(brief == .text("degraded\n"))
        let verbose = await ask("/healthz", query: "verbose")
        #expect(
            verbose.body == """
                [+] certificates: valid
                [+] listeners: 1 bound
                [-] PLANE_UNREACHABLE (plane): refused; check the network
                state: degraded

                """)
    }

    @Test func `are a status document under a versioned schema`() async throws {
        fixture.becomeReady()
        fixture.health.publish(section: "proxy", ["listeners": []])
        let answer = await ask("/v1/status")
        #expect(answer.form == .json)
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any])
        #expect(json["schema"] as? String == "nodeguard.status/1")
        #expect(json["state"] as? String == "ready")
        #expect(json["node"] as? String == "db-1")
        #expect(json["cluster"] as? String == "cluster-a")
        #expect(json["started_at"] as? String == "2023-11-14T22:13:20Z")
        #expect(json["uptime_seconds"] as? Int ?? 0 > 1_000_000)
        #expect((json["proxy"] as? [String: Any])?.isEmpty == false)
        let lane = try #require((json["lanes"] as? [[String: Any]])?.first)
        #expect(lane["label"] as? String == "data-0")
        #expect(lane["jobs"] as? Int == 7)
        #expect(lane["lag_seconds"] as? Double == 0)
    }

    @Test func `include the process' own metrics`() async {
        let calls = LocalCalls(source: fixture.source, audit: fixture.audit)
        calls.registerMetrics()
        let answer = await calls.answer(method: "GET", path: "/metrics", query: nil, caller: nil)
        #expect(answer.form == .openMetrics)
        #expect(answer.body.contains("nodeguard_build_info{version=\"1.2.3\"} 1.0\n"))
        #expect(answer.body.contains("nodeguard_state{state=\"starting\"} 1.0\n"))
        #expect(answer.body.contains("nodeguard_state{state=\"ready\"} 0.0\n"))
        #expect(answer.body.contains("nodeguard_lane_lag_seconds{lane=\"data-0\"} 0.0\n"))
        #expect(answer.body.hasSuffix("# EOF\n"))
    }

    @Test(arguments: [
        ("GET", "/v1/connections"), ("GET", "/v1/audit/events"), ("POST", "/v1/drain"),
        ("DELETE", "/v1/connections/1:1"), ("POST", "/v1/certificates/database/renew"), ("GET", "/v1/bans"),
        ("DELETE", "/v1/bans"),
    ])
    func `refuse on the read-only socket what belongs to the other one`(method: String, path: String) async {
        #expect(await ask(path, method).status == 403)
        #expect(fixture.calls.withLock { $0 }.isEmpty)
    }

    @Test func `turn each outcome of a control call into its status`() async {
        #expect(await ask("/v1/certificates/database/renew", "POST", caller: root).status == 202)
        #expect(await ask("/v1/certificates/other/renew", "POST", caller: root).status == 404)
        #expect(await ask("/v1/connections/1:1", "DELETE", caller: root) == .json(["killed": "1:1"]))
        #expect(await ask("/v1/drain", "POST", caller: root).status == 502)
        #expect(await ask("/v1/undrain", "POST", caller: root).status == 200)
        #expect(await ask("/v1/reload", "POST", caller: root).status == 409)
        #expect(LocalAnswer(ControlOutcome.refused("busy")).status == 409)
        #expect(await ask("/v1/bans", caller: root) == .json(["bans": [["network": "10.0.0.1/32"]]]))
        #expect(await ask("/v1/bans/10.0.0.0/8", "DELETE", caller: root) == .json(["lifted": 1]))
        #expect(await ask("/v1/audit/events", query: "count=3", caller: root).body == "{\"count\":3}\n")
        #expect(
            fixture.calls.withLock { $0 } == [
                "renew database", "renew other", "kill 1:1", "drain", "undrain", "reload", "lift 10.0.0.0/8",
            ])
    }

    @Test func `are audited on the control socket with who asked and what came of it`() async {
        _ = await ask("/v1/drain", "POST", caller: root)
        _ = await ask("/v1/connections", caller: root)
        _ = await ask("/nowhere", caller: root)
        _ = await ask("/v1/status")
        let events = fixture.events.withLock { $0 }
        #expect(events.map(\.name) == [.controlCall, .controlCall, .controlCall])
        #expect(events.map(\.outcome) == [.failure, .success, .refused])
        #expect(events[0].fields["call"] == "POST /v1/drain")
        #expect(events[0].fields["caller.uid"] == 0)
        #expect(events[0].fields["caller.gid"] == 5)
        #expect(events[0].fields["caller.pid"] == 42)
    }
}
