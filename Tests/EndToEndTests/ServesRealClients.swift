import Foundation
import TestSupport
import Testing

/// Drivers that applications use, on a real PostgreSQL behind the agent.
@Suite(.serialized) struct `A client library` {
    private static func file(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Clients/\(name)").path
    }

    @Test func `psycopg copies, listens, cancels and pipelines`() async throws {
        let fleet = try await Fleet()
        let outcome = try Program.run(
            try PythonPeers.python(), ["-B", Self.file("postgres.py"), fleet.connection(as: "shop")])
        #expect(outcome.status == 0 && outcome.lines.last == "all", "\(outcome)")
        #expect(outcome.lines.contains("direct TLS") && outcome.lines.contains("protocol 3.2"), "\(outcome)")
    }

    @Test func `pgJDBC copies, cancels, listens, and replaces its keys on the way`() async throws {
        let fleet = try await Fleet()
        let key = fleet.folder + "/shop/client.pk8"
        let made = try Program.run(
            "/usr/bin/openssl",
            ["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", fleet.folder + "/shop/client.key", "-out", key])
        try #require(made.status == 0, "\(made)")
        let outcome = try Program.run(
            "/usr/bin/java",
            [
                "-Djavax.net.debug=ssl:handshake", "-cp", "/usr/share/java/postgresql.jar", Self.file("Postgres.java"),
                String(fleet.listenPort), fleet.folder + "/trust.pem", fleet.folder + "/shop/client.crt", key,
            ])
        let events = try fleet.nodeguard(["audit", "tail"]).output
        #expect(
            outcome.status == 0 && outcome.output.contains("\nall\n"),
            "\(outcome.description.suffix(4000))\n\(events.suffix(2000))")
        for key in ["read", "write"] {
            let updates = (outcome.output + outcome.errors).components(separatedBy: "KeyUpdate: \(key) key updated")
            #expect(updates.count > 2, "Java did not replace its \(key) key: \(outcome.description.suffix(2000))")
        }
    }

    @Test func `psql copies a file in and out, byte for byte`() async throws {
        let fleet = try await Fleet()
        let lines = (0..<100_000).map { "\($0)\t\(String(repeating: "z", count: $0 % 200))\n" }.joined()
        try lines.write(toFile: fleet.folder + "/in", atomically: true, encoding: .utf8)
        let outcome = try Program.run(
            "/usr/bin/psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", fleet.connection(as: "shop")],
            input: """
                create table copied (number int, word text);
                \\copy copied from '\(fleet.folder)/in'
                \\copy (select * from copied order by number) to '\(fleet.folder)/out'

                """)
        #expect(outcome.status == 0, "\(outcome)")
        let came = try String(contentsOfFile: fleet.folder + "/out", encoding: .utf8)
        #expect(came == lines)
    }

    @Test func `pgbench opens a connection for each transaction, and none fails`() async throws {
        let fleet = try await Fleet()
        let connection = fleet.connection(as: "shop")
        let outcome = try Program.run(
            PostgresCluster.programs + "/pgbench",
            ["-n", "-C", "-c", "4", "-t", "100", "-f", "/dev/stdin", connection],
            input: "select 1;\n")
        #expect(outcome.status == 0 && outcome.output.contains("number of failed transactions: 0 "), "\(outcome)")
        #expect(outcome.output.contains("actually processed: 400/400"), "\(outcome)")
    }

    /// DataStax's driver, before a database that speaks as much of CQL as it needs.
    @Test func `cassandra-driver reads what it asks for, in small and in large`() async throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Program(
            "/usr/bin/python3", ["-B", Self.file("cql_responder.py")], log: folder + "/database.log")
        #expect(await eventually(within: 20) { database.log.hasSuffix("\n") })
        let port = try freePort()
        let fleet = try await Fleet(
            listeners: """
                    - name: ycql
                      listen: ["127.0.0.1:\(port)"]
                      protocol: cassandra
                      backend: 127.0.0.1:\(database.log.trimmingCharacters(in: .newlines))
                      certificate: database
                      trust: [cluster]
                      allow: [ { common-name: shop } ]
                """)
        let outcome = try Program.run(
            try PythonPeers.python(),
            [
                "-B", Self.file("cassandra_client.py"), String(port), fleet.folder + "/trust.pem",
                fleet.folder + "/shop/client.crt", fleet.folder + "/shop/client.key",
            ])
        #expect(outcome.output == "all, in version 4\n", "\(outcome)")
    }
}
