import Foundation
import Testing

/// The main promise: a client that is verified and allowed reaches the database; nobody else lets a byte through to it.
@Suite(.serialized) struct `Over the agent's port` {
    @Test func `an allowed client reaches the database, and nobody else does`() async throws {
        let fleet = try await Fleet()
        let answer = try fleet.psql("select 6 * 7")
        #expect(answer.status == 0 && answer.output == "42\n", "\(answer)")

        try fleet.clientCertificate("intern", uri: "spiffe://\(Fleet.cluster)/desk/intern")
        try fleet.clientCertificate("deeper", uri: "spiffe://\(Fleet.cluster)/app/shop/extra")
        let before = fleet.postgres.connectionCount
        let refusals: [(Outcome, Regex<Substring>)] = [
            (try fleet.psql("select 1", as: nil), /certificate required/),
            (try fleet.psql("select 1", as: "intern"), /28000|rule|not allowed/),
            (try fleet.psql("select 1", as: "deeper"), /28000|rule|not allowed/),
            (try fleet.psql("select 1", "sslmode=disable"), /TLS/),
        ]
        for (outcome, words) in refusals {
            #expect(outcome.status != 0)
            #expect(outcome.errors.contains(words), "\(outcome)")
        }
        #expect(fleet.postgres.connectionCount == before, "the database saw a connection of a refused peer")
    }

    @Test func `a client of another cluster under the same root is a stranger`() async throws {
        let fleet = try await Fleet()
        try fleet.command(["cluster", "create", "cluster-b"])
        try fleet.command([
            "client-certificate", "--cluster", "cluster-b", "--name", "shop", "--uri", "spiffe://cluster-b/app/shop",
            "--out", fleet.folder + "/neighbour",
        ])
        let before = fleet.postgres.connectionCount
        let refused = try fleet.psql("select 1", as: "neighbour")
        #expect(refused.status != 0 && refused.errors.contains("unknown ca"), "\(refused)")
        #expect(fleet.postgres.connectionCount == before)
        #expect(try fleet.psql("select 1").output == "1\n")
    }

    @Test func `a database is reached through its unix socket where that was acknowledged, and only there`()
        async throws
    {
        let port = try freePort()
        let fleet = try await Fleet(start: false)
        let listener = """
                - name: local
                  listen: ["127.0.0.1:\(port)"]
                  protocol: postgres
                  backend: "unix:\(fleet.postgres.folder)/.s.PGSQL.\(fleet.postgres.port)"
                  acknowledge-local-trust: yes
                  certificate: database
                  trust: [cluster]
                  allow: [ { uri: "spiffe://\(Fleet.cluster)/app/*" } ]
            backups:
            """
        let whole = fleet.configuration.replacing("\nbackups:", with: "\n" + listener)
        try whole.replacing("acknowledge-local-trust: yes", with: "acknowledge-local-trust: no")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        let refused = try fleet.nodeguard(["run"])
        #expect(refused.status == 78 && refused.errors.contains("local all yugabyte trust"), "\(refused)")
        try whole.write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        func ask(_ query: String, as client: String) throws -> Outcome {
            let connection = fleet.connection(as: client).replacing("port=\(fleet.listenPort)", with: "port=\(port)")
            return try Program.run("/usr/bin/psql", ["-XAtq", "-d", connection, "-c", query])
        }
        let answer = try ask("select coalesce(host(inet_client_addr()), 'local')", as: "shop")
        #expect(answer.output == "local\n", "\(answer)")
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/desk/a")
        #expect(try ask("select 1", as: "desk").errors.contains("28000") || ask("select 1", as: "desk").status != 0)
        fleet.postgres.stop()
        #expect(try ask("select 1", as: "shop").errors.contains(/FATAL:.*(database|backend)/))
    }

    @Test func `a database that is down is said in the client's own protocol`() async throws {
        let fleet = try await Fleet()
        fleet.postgres.stop()
        let answer = try fleet.psql("select 1")
        #expect(answer.status != 0)
        #expect(answer.errors.contains(/FATAL:.*(database|backend)/), "\(answer)")
        try fleet.postgres.start()
        #expect(try fleet.psql("select 1").output == "1\n")
    }

    @Test func `a query is cancelled by its own client and by nobody who guesses`() async throws {
        let fleet = try await Fleet()
        let connection = """
            host=localhost hostaddr=127.0.0.1 port=\(fleet.listenPort) dbname=postgres user=postgres \
            sslmode=verify-full sslrootcert=\(fleet.folder)/trust.pem sslcert=\(fleet.folder)/shop/client.crt \
            sslkey=\(fleet.folder)/shop/client.key
            """
        let script = """
            psql -XAtq -d '\(connection)' -c 'select pg_sleep(60)' & pid=$!
            for try in {1..200}; do
                n=$(psql -XAtq -h 127.0.0.1 -p \(fleet.postgres.port) -U postgres -c \
                    "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'")
                [ "$n" = 1 ] && break
            done
            printf '\\x00\\x00\\x00\\x10\\x04\\xd2\\x16\\x2e\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x02' \
                >/dev/tcp/127.0.0.1/\(fleet.listenPort)
            kill -0 $pid || { echo 'a guessed key cancelled it'; exit 9; }
            kill -INT $pid; wait $pid
            """
        let outcome = try Program.shell(script)
        #expect(outcome.errors.contains("canceling statement due to user request"), "\(outcome)")
    }
}
