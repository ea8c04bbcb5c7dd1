import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Real psql, real PostgreSQL 15 with ssl=on that demands a client certificate, the proxy between them.
    @Suite(.timeLimit(.minutes(3))) struct `A real PostgreSQL that speaks TLS` {
        private typealias Secured = `A connection with TLS to the database`
        private static let binding = "user=scram password=pencil channel_binding=require"

        private static func asked(_ stage: Stage, _ query: String, _ extra: String = "") throws -> Subprocess.Result {
            try TestPostgres.psql(stage.port, as: try Stage.client.get(), query, extra)
        }

        private static func stage(_ postgres: TestPostgres, _ wanted: BackendTLS) throws -> Stage {
            try Stage([try Stage.listener(.postgres, backend: [postgres.address]) { $0.backendTLS = wanted }])
        }

        @Test func `is reached with its name verified, but not by who binds to the channel`() async throws {
            let postgres = try await TestPostgres(tls: try Stage.authority.get().server())
            try postgres.prepareSCRAM()
            let stage = try Self.stage(postgres, Secured.verify)
            let answer = try Self.asked(stage, "select version from pg_stat_ssl where pid = pg_backend_pid()")
            #expect(answer.output == "TLSv1.3\n", "\(answer)")
            let rows = try Self.asked(stage, "select repeat('x', 1000) from generate_series(1, 20000)")
            #expect(rows.output.utf8.count == 20_000 * 1001)
            let scram = try Self.asked(stage, "select 2", "user=scram password=pencil channel_binding=disable")
            #expect(scram.output == "2\n", "\(scram)")
            // The client and the database saw different certificates, and both notice.
            let bound = try Self.asked(stage, "select 3", Self.binding)
            #expect(!bound.succeeded && bound.errors.contains("channel binding"), "\(bound)")
            await stage.proxy.stop()
        }

        @Test func `keeps SCRAM's channel binding when it has the listener's certificate`() async throws {
            let postgres = try await TestPostgres(tls: try Stage.server.get())
            try postgres.prepareSCRAM()
            let stage = try Self.stage(postgres, BackendTLS(.sameCertificate))
            for round in 1...3 {
                let bound = try Self.asked(stage, "select \(round)", Self.binding)
                #expect(bound.output == "\(round)\n", "\(bound)")
            }
            #expect(await eventually(within: 20) { stage.events.named(.connectionClosed).count == 3 })
            #expect(stage.events.named(.connectionClosed).allSatisfy { $0.fields["reason"] == "finished" })
            // Another certificate of the same name and authority is not the same one.
            try stage.publish(try Stage.authority.get().server())
            let other = try Self.asked(stage, "select 4", Self.binding)
            #expect(other.errors.contains("does not accept connections"), "\(other)")
            await stage.proxy.stop()
        }

        @Test func `is cancelled over TLS`() async throws {
            let postgres = try await TestPostgres(tls: try Stage.server.get())
            let stage = try Self.stage(postgres, Secured.verify)
            let connection = try TestPostgres.connection(stage.port, as: try Stage.client.get())
            let psql = try Subprocess("psql", ["-XAtq", "-d", connection, "-c", "select pg_sleep(60)"])
            #expect(
                await eventually(within: 20) {
                    (try? postgres.direct(
                        "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'")) == "1\n"
                })
            psql.signal(SIGINT)
            let outcome = try await psql.waitForEnd(within: 60)
            #expect(outcome.errors.contains("canceling statement due to user request"), "\(outcome)")
            #expect(stage.events.named(.cancelForwarded).count == 1)
            #expect(await eventually(within: 20) { stage.proxy.house.cancels.count == 0 && stage.unauthenticated == 0 })
            await stage.proxy.stop()
        }
    }
}
