import Foundation
import Testing

@Suite(.serialized) struct `A Redis behind the agent` {
    @Test func `is reached over mutual TLS, and the refused are told so in RESP`() async throws {
        let port = try freePort()
        let redisPort = try freePort()
        let redis = try Program(
            "/usr/bin/redis-server", ["--port", String(redisPort), "--bind", "127.0.0.1", "--save", ""],
            log: "/dev/null")
        let fleet = try await Fleet(
            listeners: """
                    - name: redis
                      listen: ["127.0.0.1:\(port)"]
                      protocol: redis
                      backend: 127.0.0.1:\(redisPort)
                      certificate: database
                      trust: [cluster]
                      allow: [ { common-name: shop } ]
                """)
        try fleet.clientCertificate("intern", uri: "spiffe://\(Fleet.cluster)/desk/intern")
        func client(_ name: String) throws -> Outcome {
            try Program.run(
                "/usr/bin/redis-cli",
                [
                    "-h", "localhost", "-p", String(port), "--tls", "--cacert", fleet.folder + "/trust.pem", "--cert",
                    "\(fleet.folder)/\(name)/client.crt", "--key", "\(fleet.folder)/\(name)/client.key", "set", "a",
                    "b",
                ])
        }
        let allowed = try client("shop")
        #expect(allowed.output.contains("OK"), "\(allowed)")
        let refused = try client("intern")
        #expect((refused.output + refused.errors).contains("NOPERM"), "\(refused)")
        let bench = try Program.run(
            "/usr/bin/redis-benchmark",
            [
                "-h", "localhost", "-p", String(port), "--tls", "--cacert", fleet.folder + "/trust.pem", "--cert",
                fleet.folder + "/shop/client.crt", "--key", fleet.folder + "/shop/client.key", "-n", "20000", "-c",
                "50", "-P", "16", "-d", "1000", "-t", "set,get,lrange_100", "--csv",
            ])
        #expect(bench.status == 0 && bench.lines.count >= 4, "\(bench)")
        #expect(!(bench.output + bench.errors).contains("Error"), "\(bench)")
        redis.kill()
    }
}
