import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Real psql, real PostgreSQL 15, the proxy between them.
    @Suite(.timeLimit(.minutes(3))) struct `A real PostgreSQL behind the proxy` {
        @Test func `is reached by psql, and only by those who are allowed`() async throws {
            let postgres = try await TestPostgres()
            let stage = try Stage([try Stage.listener(.postgres, backend: [postgres.address])])
            let answer = try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 6 * 7")
            #expect(answer.succeeded && answer.output == "42\n", "\(answer)")
            let rows = try TestPostgres.psql(
                stage.port, as: try Stage.client.get(), "select repeat('x', 1000) from generate_series(1, 20000)")
            #expect(rows.output.utf8.count == 20_000 * 1001)
            let none = try TestPostgres.psql(stage.port, as: nil, "select 1")
            #expect(!none.succeeded && none.errors.contains("certificate required"), "\(none)")
            let intern = try TestPostgres.psql(stage.port, as: try Stage.intern.get(), "select 1")
            #expect(!intern.succeeded && intern.errors.contains("not allowed"), "\(intern)")
            let stranger = try TestPostgres.psql(stage.port, as: try Stage.stranger.get(), "select 1")
            #expect(!stranger.succeeded && stranger.errors.contains("unknown ca"), "\(stranger)")
            let clear = try TestPostgres.psql(stage.port, as: nil, "select 1", "sslmode=disable")
            #expect(!clear.succeeded && clear.errors.contains("TLS is required"), "\(clear)")
            let preferring = try TestPostgres.psql(
                stage.port, as: try Stage.client.get(), "select 1", "gssencmode=prefer")
            #expect(preferring.succeeded)
            await postgres.stop()
            let down = try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 1")
            #expect(down.errors.contains("FATAL") && down.errors.contains("does not accept connections"), "\(down)")
            try await postgres.start()
            #expect(try TestPostgres.psql(stage.port, as: try Stage.client.get(), "select 1").output == "1\n")
            await stage.proxy.stop()
        }

        @Test func `is cancelled by its own client and by nobody who guesses`() async throws {
            let postgres = try await TestPostgres()
            let dead = try TestBackend.echo()
            dead.stop()
            // The request must find the address that the session was connected to.
            let stage = try Stage([try Stage.listener(.postgres, backend: [dead.address, postgres.address])])
            let connection = try TestPostgres.connection(stage.port, as: try Stage.client.get())
            let psql = try Subprocess("psql", ["-XAtq", "-d", connection, "-c", "select pg_sleep(60)"])
            let isRunning = await eventually(within: 20) {
                let asked = try? Subprocess.run(
                    "psql",
                    [
                        "-XAtq", "-h", "127.0.0.1", "-p", "\(postgres.port)", "-U", "postgres", "-c",
                        "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'",
                    ])
                return asked?.output == "1\n"
            }
            #expect(isRunning)
            #expect(stage.proxy.house.cancels.count == 1)
            let guess = try TestSocket(port: stage.port)
            try guess.send([0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2])
            #expect((try? guess.receiveAll()) ?? [] == [], "a CancelRequest is never answered")
            #expect(await eventually(within: 20) { stage.events.named(.cancelDropped).count == 1 })
            #expect(psql.isRunning)
            psql.signal(SIGINT)
            let outcome = try await psql.waitForEnd(within: 60)
            #expect(outcome.errors.contains("canceling statement due to user request"), "\(outcome)")
            #expect(stage.events.named(.cancelForwarded).count == 1)
            #expect(await eventually(within: 20) { stage.proxy.house.cancels.count == 0 && stage.unauthenticated == 0 })
            await stage.proxy.stop()
        }

        @Test func `is told where its client is, behind the application's name`() async throws {
            let postgres = try await TestPostgres()
            let stage = try Stage([
                try Stage.listener(.postgres, backend: [postgres.address]) { $0.namesAddress = true }
            ])
            let client = try Stage.client.get()
            let query = "select application_name from pg_stat_activity where pid = pg_backend_pid()"
            for (name, expected) in [("", "psql"), ("application_name=report", "report")] {
                let shown = try TestPostgres.psql(stage.port, as: client, query, name)
                let accepted = try #require(stage.events.named(.connectionAccepted).last)
                guard case .string(let address)? = accepted.fields["peer.address"] else { continue }
                #expect(shown.output == "\(expected) - \(address)\n", "\(shown)")
            }
            let long = String(repeating: "n", count: 200)
            let shown = try TestPostgres.psql(stage.port, as: client, query, "application_name=\(long)").output
            #expect(shown.utf8.count == 64 && shown.firstMatch(of: /^n+ - 127\.0\.0\.1:[0-9]+\n$/) != nil, "\(shown)")
            await stage.proxy.stop()
        }

        @Test func `goes on while certificates change under load`() async throws {
            let postgres = try await TestPostgres()
            let stage = try Stage([try Stage.listener(.postgres, backend: [postgres.address])])
            let connection = try TestPostgres.connection(stage.port, as: try Stage.client.get())
            let long = try Subprocess("psql", ["-XAtq", "-d", connection], keepsInputOpen: true)
            try long.write(Array("select 'begun';\n".utf8))
            try await long.waitForLine(containing: "begun")
            let bench = "/usr/lib/postgresql/15/bin/pgbench"
            let load = try Subprocess(
                bench, ["-n", "-C", "-c", "4", "-T", "6", "-f", "/dev/stdin", connection],
                input: try Self.script("select 1;\n"))
            let identities = try [Stage.authority.get().server(), Stage.authority.get().server()]
            var serials: Set<String> = []
            var round = 0
            while load.isRunning {
                try stage.publish(identities[round % 2])
                round += 1
                let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
                serials.insert(client.serverSerial)
            }
            let outcome = try await load.waitForEnd()
            #expect(outcome.succeeded && outcome.output.contains("number of failed transactions: 0 "), "\(outcome)")
            #expect(serials.count == 2 && round >= 4)
            try long.write(Array("select 'still here';\n".utf8))
            try await long.waitForLine(containing: "still here")
            try long.endInput()
            #expect(try await long.waitForEnd().succeeded)
            await stage.proxy.stop()
        }

        private static func script(_ text: String) throws -> FileHandle {
            let pipe = Foundation.Pipe()
            try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
            try pipe.fileHandleForWriting.close()
            return pipe.fileHandleForReading
        }
    }
}
