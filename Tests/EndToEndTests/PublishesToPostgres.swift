import Foundation
import Testing

@Suite(.serialized) struct `A certificate for PostgreSQL's own TLS` {
    private static let role = "pg"

    /// A node whose PostgreSQL has ssl=on with files that the agent brings.
    private static func fleet() async throws -> Fleet {
        let fleet = try await Fleet(start: false)
        try fleet.command([
            "role", "allow", "--cluster", Fleet.cluster, "--node", Fleet.node, "--role", role, "--dns", "localhost",
            "--ip", "127.0.0.1", "--usage", "server",
        ])
        let data = fleet.postgres.folder
        let made = try Program.shell(
            """
            install -d -o postgres -g postgres -m 700 \(data)/tls &&
            printf '%s\\n' ssl=on "ssl_cert_file='tls/server.crt'" "ssl_key_file='tls/server.key'" \
                "ssl_ca_file='tls/root.crt'" >>\(data)/postgresql.conf
            """)
        try #require(made.status == 0, "\(made)")
        let published = """
                - name: \(role)
                  names: [localhost]
                  addresses: [127.0.0.1]
                  publish:
                    directory: \(data)/tls
                    layout: postgresql
                    reload: [runuser, -u, postgres, --, \(PostgresCluster.programs)/pg_ctl, -s, -D, \(data), reload]
                    check: { address: "127.0.0.1:\(fleet.postgres.port)", protocol: postgres }
            """
        let database = "{ name: database, names: [localhost], addresses: [127.0.0.1], usage: [server, client] }"
        try fleet.configuration
            .replacing("  roles: [ \(database) ]", with: "  roles:\n    - \(database)\n\(published)")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        return fleet
    }

    private static func member(_ name: String, of role: String, _ fleet: Fleet) -> String? {
        let certificates = (try? fleet.status())?["certificates"] as? [String: Any]
        let roles = certificates?["roles"] as? [[String: Any]] ?? []
        let found = roles.first { $0["role"] as? String == role }
        return (found?["publication"] as? [String: Any])?[name] as? String ?? found?[name] as? String
    }

    /// As a client of PostgreSQL sees it, not as the agent says it.
    private static func servedFingerprint(_ fleet: Fleet) -> String {
        let shown = try? Program.shell(
            """
            openssl s_client -starttls postgres -connect 127.0.0.1:\(fleet.postgres.port) </dev/null 2>/dev/null |
                openssl x509 -noout -fingerprint -sha256
            """
        )
        let line = shown?.output.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        return line.replacing(":", with: "").lowercased()
    }

    private static func isServed(_ fleet: Fleet) -> Bool {
        guard member("state", of: role, fleet) == "served", let fingerprint = member("fingerprint", of: role, fleet)
        else { return false }
        return servedFingerprint(fleet).hasSuffix("=" + fingerprint)
    }

    private static func psql(_ fleet: Fleet) throws -> Outcome {
        try Program.run(
            "/usr/bin/psql",
            [
                "-XAtq", "-c", "select 1", "-d",
                """
                host=localhost hostaddr=127.0.0.1 port=\(fleet.postgres.port) dbname=postgres user=postgres \
                sslmode=verify-full sslrootcert=\(fleet.folder)/trust.pem connect_timeout=20
                """,
            ])
    }

    @Test func `gets a window by a reload, for which what an operator orders does not wait`() async throws {
        let fleet = try await Self.fleet()
        let isFirst = await eventually(within: 60) { Self.isServed(fleet) }
        try #require(isFirst, "\(fleet.agent.log)\n\(fleet.postgres.log)")
        let first = Self.servedFingerprint(fleet)
        let open = try String(contentsOfFile: fleet.configPath, encoding: .utf8)
        let days = try Program.run("/bin/date", ["-u", "-d", "+3 days", "+%a"])
        let day = days.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try open.replacing("layout: postgresql", with: "layout: postgresql\n        window: \(day) 02:00-04:00")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        let closed = try fleet.nodeguard(["reload"])
        #expect(closed.status == 0 && closed.output.contains("certificates.roles.pg.publish.window"), "\(closed)")
        #expect(!closed.output.contains("restart"), "\(closed)")
        let isSame = await eventually(within: 60) { Self.isServed(fleet) }
        #expect(isSame && Self.servedFingerprint(fleet) == first)

        // What an operator orders waits for no window; what does is CertificatePublisherTests' to show.
        #expect(try fleet.nodeguard(["certificates", "renew", Self.role]).status == 0)
        let isSecond = await eventually(within: 60) { Self.servedFingerprint(fleet) != first && Self.isServed(fleet) }
        #expect(isSecond, "\(fleet.agent.log)")
    }

    @Test func `is served after its reload, is followed by the next one, and can be taken back`() async throws {
        let fleet = try await Self.fleet()
        let isFirst = await eventually(within: 60) { Self.isServed(fleet) }
        try #require(isFirst, "\(fleet.agent.log)\n\(fleet.postgres.log)")
        #expect(try Self.psql(fleet).output == "1\n")
        let first = Self.servedFingerprint(fleet)
        let listed = try fleet.nodeguard(["certificates"]).output
        #expect(listed.contains("tls, served by 127.0.0.1:\(fleet.postgres.port)"), "\(listed)")
        #expect(listed.contains("served by  ysql (127.0.0.1:\(fleet.listenPort))"), "\(listed)")

        #expect(try fleet.nodeguard(["certificates", "renew", Self.role]).status == 0)
        let isSecond = await eventually(within: 60) {
            Self.servedFingerprint(fleet) != first && Self.isServed(fleet)
        }
        #expect(isSecond, "\(fleet.agent.log)\n\(fleet.postgres.log)")
        #expect(try Self.psql(fleet).output == "1\n")

        let undone = try fleet.nodeguard(["publish", "--role", Self.role, "--undo"])
        #expect(undone.status == 0, "\(undone)")
        let isBack = await eventually(within: 30) { Self.servedFingerprint(fleet) == first }
        #expect(isBack, "\(fleet.postgres.log)")
        let isHeard = await eventually(within: 60) { Self.member("state", of: Self.role, fleet) == "withheld" }
        #expect(isHeard, "\(fleet.agent.log)")
        #expect(try fleet.nodeguard(["status"]).output.contains("CERTIFICATE_WITHHELD"))
        #expect(try fleet.nodeguard(["publish", "--role", Self.role]).status == 0)
        let isServedAgain = await eventually(within: 60) { Self.isServed(fleet) }
        #expect(isServedAgain, "\(fleet.agent.log)")
        #expect(!fleet.agent.log.contains("PRIVATE KEY"))
    }
}
