import Foundation
import TestSupport
import Testing

/// Rules about users, databases and replication, before a real PostgreSQL.
@Suite(.serialized) struct `A session bound to its certificate` {
    private struct Scene {
        let fleet: Fleet
        let port: Int
        let map: String
        private let folder: TemporaryDirectory

        init() async throws {
            port = try freePort()
            folder = try TemporaryDirectory()
            map = folder.file("users")
            try "uri:spiffe://cluster-a/app/* app\nuri:spiffe://cluster-a/standby/* postgres\n"
                .write(toFile: map, atomically: true, encoding: .utf8)
            fleet = try await Fleet(
                listeners: """
                        - name: bound
                          listen: ["127.0.0.1:\(port)"]
                          protocol: postgres
                          backend: 127.0.0.1:1
                          certificate: database
                          trust: [cluster]
                          allow:
                            - any: [ { uri: "spiffe://cluster-a/app/*" }, { dns: nobody.example } ]
                              database: [postgres, app]
                            - { uri: "spiffe://cluster-a/standby/*", replication: only }
                          database-user-map: \(map)
                          mode: enforce
                          explain-certificate-refusals: yes
                    """, start: false)
            try change("backend: 127.0.0.1:1", "backend: 127.0.0.1:\(fleet.postgres.port)")
            try fleet.clientCertificate("standby", uri: "spiffe://\(Fleet.cluster)/standby/1")
            try fleet.command(["cluster", "create", "cluster-b"])
            try fleet.command([
                "client-certificate", "--cluster", "cluster-b", "--name", "shop", "--uri",
                "spiffe://cluster-b/app/shop",
                "--out", fleet.folder + "/neighbour",
            ])
            let made = try Program.shell(
                "psql -Xq -h 127.0.0.1 -p \(fleet.postgres.port) -U postgres -c 'create role app login' "
                    + "-c 'create database app'")
            try #require(made.status == 0, "\(made)")
            try fleet.startAgent()
            try await fleet.waitUntilReady()
        }

        func change(_ old: String, _ new: String) throws {
            let text = try String(contentsOfFile: fleet.configPath, encoding: .utf8)
            #expect(text.contains(old))
            try text.replacingOccurrences(of: old, with: new)
                .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        }

        func parameters(_ user: String, _ database: String) -> String {
            "sslmode=verify-full port=\(port) user=\(user) dbname=\(database)"
        }

        func psql(_ client: String, _ user: String, _ database: String) throws -> Outcome {
            try fleet.psql("select current_user || '@' || current_database()", as: client, parameters(user, database))
        }

        func explain(_ client: String, _ more: String...) throws -> Outcome {
            try fleet.nodeguard(
                ["explain", "--listener", "bound", "--certificate", "\(fleet.folder)/\(client)/client.crt"] + more)
        }
    }

    @Test func `has the user and the database that its certificate may have, or never reaches the database`()
        async throws
    {
        let scene = try await Scene()
        #expect(try scene.psql("shop", "app", "postgres").output == "app@postgres\n")
        #expect(try scene.psql("shop", "app", "app").output == "app@app\n")
        let before = scene.fleet.postgres.connectionCount
        for (client, user, database, words) in [
            ("shop", "postgres", "postgres", "may not connect as user \"postgres\""),
            ("shop", "app", "template1", "may not connect to database \"template1\""),
            ("neighbour", "app", "app", "this client certificate is not accepted: unable to get local issuer"),
        ] {
            let refused = try scene.psql(client, user, database)
            #expect(refused.status != 0 && refused.errors.contains("FATAL:"), "\(refused)")
            #expect(refused.errors.contains(words), "\(refused)")
        }
        #expect(try scene.psql("standby", "postgres", "postgres").status != 0, "for replication only")
        func backup(_ client: String, _ user: String) throws -> Outcome {
            try Program.run(
                "/usr/bin/pg_basebackup",
                [
                    "-d", scene.fleet.connection(as: client, scene.parameters(user, "postgres")), "-D",
                    "\(scene.fleet.folder)/copy-\(client)", "-c", "fast", "--no-sync",
                ])
        }
        let refused = try backup("shop", "app")
        #expect(refused.status != 0 && refused.errors.contains("may not connect"), "\(refused)")
        #expect(scene.fleet.postgres.connectionCount == before, "not one of them was heard of")
        let copied = try backup("standby", "postgres")
        #expect(copied.status == 0, "\(copied)")
        let explained = try scene.explain("standby", "--user", "postgres", "--replication")
        #expect(explained.status == 0 && explained.output.contains("trust    verified under CN="), "\(explained)")
        #expect(try scene.explain("standby", "--user", "postgres").status == 4)
        #expect(try scene.explain("neighbour", "--user", "app").output.contains("the certificate is not trusted"))
    }

    @Test func `ends when its map no longer has it, and a map with a mistake changes nothing`() async throws {
        let scene = try await Scene()
        let held = try Program(
            "/usr/bin/psql",
            [
                "-XAtq", "-d", scene.fleet.connection(as: "shop", scene.parameters("app", "app")), "-c",
                "select pg_sleep(60)",
            ],
            log: scene.fleet.folder + "/held.log")
        let isHeld = await eventually(within: 20) { scene.fleet.postgres.log.contains("user=app database=app") }
        #expect(isHeld)
        try "common-name:shop\n".write(toFile: scene.map, atomically: true, encoding: .utf8)
        let mistaken = try scene.fleet.nodeguard(["reload"])
        #expect(mistaken.status != 0 && mistaken.errors.contains("\(scene.map):1: "), "\(mistaken)")
        let check = try scene.fleet.nodeguard(["config", "check"])
        #expect(check.status == 78 && check.errors.contains("\(scene.map):1: "), "\(check)")
        #expect(try scene.psql("shop", "app", "app").output == "app@app\n")
        #expect(held.isRunning)
        try "common-name:shop batch\n".write(toFile: scene.map, atomically: true, encoding: .utf8)
        let reload = try scene.fleet.nodeguard(["reload"])
        #expect(reload.status == 0 && reload.output.contains("proxy.listeners.bound.database-user-map"), "\(reload)")
        #expect(await held.waitForExit(within: 60) != 0)
        #expect(held.log.contains("no longer allowed"), "\(held.log)")
        #expect(try scene.psql("shop", "app", "app").errors.contains("may not connect as user \"app\""))
    }

    @Test func `passes in a dry run, which status shows loudly until it is over`() async throws {
        let scene = try await Scene()
        try scene.change("mode: enforce", "mode: dry-run")
        #expect(try scene.fleet.nodeguard(["reload"]).output.contains("proxy.listeners.bound.mode"))
        #expect(try scene.psql("shop", "postgres", "template1").output == "postgres@template1\n")
        #expect(try scene.psql("neighbour", "app", "app").status != 0, "the certificate counts all the same")
        let isTold = await eventually(within: 20) {
            (try? scene.fleet.nodeguard(["status"]))?.output.contains("LISTENER_IN_DRY_RUN") == true
        }
        #expect(isTold)
        #expect(try scene.fleet.nodeguard(["status"]).status == 1, "degraded")
        let metrics = try Program.run(
            "/usr/bin/curl", ["-s", "--unix-socket", scene.fleet.statusSocket, "http://node/metrics"])
        let line = #"nodeguard_proxy_connections_tolerated_total{listener="bound",reason="database-not-allowed"} 1"#
        #expect(metrics.output.contains(line), "\(metrics)")
        let hasArrived = await eventually(within: 20) {
            (try? scene.fleet.arrivedEvents())?.contains("connection.tolerated") == true
        }
        #expect(hasArrived)
        try scene.change("mode: dry-run", "mode: enforce")
        #expect(try scene.fleet.nodeguard(["reload"]).status == 0)
        #expect(try scene.psql("shop", "postgres", "template1").status != 0)
    }
}
