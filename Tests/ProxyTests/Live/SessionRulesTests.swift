import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    @Suite(.timeLimit(.minutes(4))) struct `A port with rules about sessions` {
        private func stage(
            _ backend: [SocketAddress], _ rule: RuleTerms, users: String? = nil, mode: AccessPolicy.Mode = .enforce
        ) throws -> Stage {
            try Stage([
                try Stage.listener(.postgres, backend: backend) {
                    $0.policy = AccessPolicy(
                        allow: [try AccessRule(rule)], users: try users.map { try DatabaseUserMap(Array($0.utf8)) },
                        mode: mode)
                }
            ])
        }

        private func words(_ stage: Stage, _ message: [UInt8]) throws -> [Character: String] {
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(message)
            return `A PostgreSQL port`.errorFields(try client.receiveAll())
        }

        private static func replication(_ value: String) -> [UInt8] {
            let body = Array("user\0shop\0database\0orders\0replication\0\(value)\0\0".utf8)
            return bigEndian(UInt32(body.count + 8)) + bigEndian(196_608) + body
        }

        @Test func `says which of user, database and replication it refuses, and the database hears nothing`()
            async throws
        {
            let backend = try TestBackend.echo()
            let stage = try stage(
                [backend.address], RuleTerms([.commonName: ["shop"], .databaseUser: ["shop"], .database: ["orders"]]))
            let user = try words(stage, startup(user: "root"))
            #expect(user["C"] == "28000" && user["M"] == "this client certificate may not connect as user \"root\"")
            let database = try words(stage, startup(database: "postgres"))
            #expect(database["M"] == "this client certificate may not connect to database \"postgres\"")
            for value in ["true", "on", "1", "yes", "Y", "t"] {
                #expect(try words(stage, Self.replication(value))["M"]?.contains("may not connect") == true)
            }
            let logical = try words(stage, Self.replication("database"))
            #expect(
                logical["C"] == "28000" && logical["M"] == "this client certificate may not connect for replication")
            #expect(
                await eventually(within: 20) {
                    stage.refused(.userNotAllowed) == 1 && stage.refused(.replicationNotAllowed) == 1
                })
            #expect(backend.count == 0)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(Self.replication("off"))
            #expect(try client.receive(count: 8).count >= 8)
            await stage.proxy.stop()
        }

        @Test func `holds a client to its map of users`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage([backend.address], RuleTerms([.commonName: ["shop"]]), users: "common-name:shop app")
            #expect(try words(stage, startup(user: "shop"))["M"]?.contains("as user \"shop\"") == true)
            #expect(backend.count == 0)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup(user: "app"))
            #expect(try client.receive(count: 8).count >= 8)
            await stage.proxy.stop()
        }

        @Test func `in its dry run lets pass and tells, but nobody whose certificate is not verified`() async throws {
            let backend = try TestBackend.echo()
            let rules = RuleTerms([.commonName: ["shop"], .databaseUser: ["shop"]])
            let stage = try stage([backend.address], rules, mode: .dryRun)
            for (identity, user) in [(try Stage.client.get(), "root"), (try Stage.intern.get(), "shop")] {
                let client = try TestClient(stage.port, as: identity, .sslRequest)
                try client.send(startup(user: user))
                #expect(try client.receive(count: 8).count >= 8)
            }
            for identity in [try Stage.stranger.get(), nil] {
                #expect(throws: TLSFailure.self) {
                    _ = try TestClient(stage.port, as: identity, .sslRequest).receive()
                }
            }
            #expect(try stage.counters().tolerated == ["user-not-allowed": 1, "no-rule": 1])
            let told = stage.events.named(.connectionTolerated)
            #expect(told.compactMap { $0.fields["reason"] } == ["user-not-allowed", "no-rule"])
            #expect(told.first?.fields["user"] == "root" && told.first?.fields["peer.subject"] == "CN=shop")
            #expect(stage.events.named(.connectionAccepted).allSatisfy { $0.fields["rule"] == "dry-run" })
            let hasReason = await eventually(within: 20) {
                stage.health.snapshot.reasons.contains {
                    $0.code == "LISTENER_IN_DRY_RUN" && $0.severity == .warn && $0.detail.contains("2 so far")
                }
            }
            #expect(hasReason)
            var change = ProxyChange()
            change.policies = ["db": AccessPolicy(allow: [try AccessRule(rules)])]
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(await eventually(within: 20) { stage.open == 0 }, "enforced, it ends what it would have refused")
            let isOver = await eventually(within: 20) {
                !stage.health.snapshot.reasons.contains { $0.code == "LISTENER_IN_DRY_RUN" }
            }
            #expect(isOver)
            await stage.proxy.stop()
        }

        @Test func `keeps pg_basebackup out unless a rule says replication`() async throws {
            let postgres = try await TestPostgres()
            let folder = try temporaryDirectory()
            for (replication, expected) in [(nil, false), (RuleTerms.Replication.yes, true), (.only, true)] {
                let stage = try stage([postgres.address], RuleTerms([.commonName: ["shop"]], replication: replication))
                let connection = try TestPostgres.connection(stage.port, as: try Stage.client.get())
                let backup = try Subprocess.run(
                    "pg_basebackup",
                    [
                        "-d", connection, "-D", folder.file("copy-\(replication?.rawValue ?? "none")"), "-c", "fast",
                        "-X", "stream", "--no-sync",
                    ])
                #expect(backup.succeeded == expected, "\(backup)")
                if !expected { #expect(backup.errors.contains("may not connect for replication"), "\(backup)") }
                let query = try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 1")
                #expect(query.succeeded == (replication != .only), "\(query)")
                await stage.proxy.stop()
            }
        }
    }
}
