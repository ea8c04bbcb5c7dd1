import Foundation
import Testing

@Suite(.serialized) struct `A load balancer before the agent` {
    /// A real HAProxy that sends a PROXY header before each client.
    private static func balancer(_ port: Int, before target: Int, in folder: String) async throws -> Program {
        let configuration = """
            defaults
                mode tcp
                timeout connect 5s
                timeout client 60s
                timeout server 60s
            listen front
                bind 127.0.0.1:\(port)
                server node 127.0.0.1:\(target) send-proxy-v2

            """
        try configuration.write(toFile: folder + "/haproxy.cfg", atomically: true, encoding: .utf8)
        let balancer = try Program(
            "/usr/sbin/haproxy", ["-db", "-f", folder + "/haproxy.cfg"], log: folder + "/haproxy.log")
        let isListening = await eventually(within: 20) {
            (try? Program.shell("ss -Htln sport = :\(port) | grep -q .").status) == 0
        }
        try #require(isListening, "\(balancer.log)")
        return balancer
    }

    @Test func `is not taken for its clients: database, audit log and operators see who they are`() async throws {
        let (port, front) = (try freePort(), try freePort())
        let fleet = try await Fleet(
            listeners: """
                    - name: balanced
                      listen: ["127.0.0.1:\(port)"]
                      protocol: postgres
                      backend: 127.0.0.1:1
                      certificate: database
                      trust: [cluster]
                      allow: [ { uri: "spiffe://\(Fleet.cluster)/app/*" } ]
                      accept-proxy-protocol: [127.0.0.0/8]
                      application-name: append-address
                """, start: false)
        try fleet.configuration.replacing("127.0.0.1:1\n", with: "127.0.0.1:\(fleet.postgres.port)\n")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        let balancer = try await Self.balancer(front, before: port, in: fleet.folder)

        let query = "select application_name from pg_stat_activity where pid = pg_backend_pid()"
        let said = try fleet.psql(query, as: "shop", "sslmode=verify-full port=\(front)")
        let client = try #require(said.output.firstMatch(of: /^psql - (127\.0\.0\.1:[0-9]+)\n$/), "\(said)").1
        let isAudited = await eventually(within: 20) {
            guard let events = try? fleet.nodeguard(["audit", "tail", "-n", "20"]).output else { return false }
            return events.contains("peer.address=\(client)") && events.contains("carrier.address=127.0.0.1:")
        }
        #expect(isAudited, "\(fleet.agent.log)")

        // psql asks the balancer to cancel, over a connection of its own.
        let sleeping = try Program(
            "/usr/bin/psql",
            [
                "-XAtq", "-d", fleet.connection(as: "shop", "sslmode=verify-full port=\(front)"), "-c",
                "select pg_sleep(60)",
            ],
            log: fleet.folder + "/psql.log")
        let isListed = await eventually(within: 20) {
            (try? fleet.nodeguard(["connections"]).output.contains(/127\.0\.0\.1:[0-9]+ via 127\.0\.0\.1:[0-9]+/))
                == true
        }
        #expect(isListed)
        let count = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
        let isAsleep = await eventually(within: 20) {
            (try? fleet.psql(count, as: "shop", "sslmode=verify-full port=\(front)").output) == "1\n"
        }
        #expect(isAsleep)
        kill(sleeping.identifier, SIGINT)
        _ = await sleeping.waitForExit(within: 60)
        #expect(sleeping.log.contains("canceling statement due to user request"), "\(sleeping.log)")

        // Whoever is in the balancer's network and says nothing is not let in.
        let silent = try fleet.psql("select 1", as: "shop", "sslmode=verify-full port=\(port)")
        #expect(silent.status != 0)
        let isRefused = await eventually(within: 20) {
            (try? fleet.nodeguard(["audit", "tail", "-n", "5"]).output.contains("no-proxy-header")) == true
        }
        #expect(isRefused, "\(fleet.agent.log)")
        balancer.kill()
    }
}
