import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// psql, a tunnel, a listener on another node, PostgreSQL 15.
    @Suite(.timeLimit(.minutes(3))) struct `A real PostgreSQL at the far end of a tunnel` {
        private static func psql(_ port: UInt16, _ query: String, _ mode: String = "disable") throws
            -> Subprocess.Result
        {
            try Subprocess.run("psql", ["-XAtq", "-d", connection(port, mode), "-c", query])
        }

        private static func connection(_ port: UInt16, _ mode: String) -> String {
            "host=127.0.0.1 port=\(port) user=postgres dbname=postgres sslmode=\(mode) gssencmode=disable"
        }

        private static func nodes(
            _ postgres: TestPostgres, isDirect: Bool = false
        ) throws -> (far: Stage, near: Stage) {
            let far = try Stage([
                try Stage.listener(.postgres, backend: [postgres.address]) {
                    $0.policy = AccessPolicy(allow: [try AccessRule([.dns: ["localhost"]])])
                }
            ])
            let near = try Stage([
                try Stage.tunnel(.postgres, to: "127.0.0.1:\(far.port)") { $0.tunnel?.isDirect = isDirect }
            ])
            return (far, near)
        }

        @Test(arguments: [false, true])
        func `is reached by a client that knows no TLS`(_ isDirect: Bool) async throws {
            let postgres = try await TestPostgres()
            let (far, near) = try Self.nodes(postgres, isDirect: isDirect)
            let port = near.port(of: "out")
            for mode in ["disable", "prefer"] {
                let answer = try Self.psql(port, "select 6 * 7", mode)
                #expect(answer.succeeded && answer.output == "42\n", "\(answer)")
            }
            let demanding = try Self.psql(port, "select 1", "require")
            #expect(!demanding.succeeded && demanding.errors.contains("SSL"), "\(demanding)")
            let rows = try Self.psql(port, "copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout")
            #expect(rows.output.utf8.count == 20_000 * 1001)
            let copied = try Subprocess.run(
                "bash",
                [
                    "-c",
                    """
                    seq 200000 | psql -XAtq -d '\(Self.connection(port, "disable"))' -c 'create temp table t (n int)' \
                        -c '\\copy t from pstdin' -c 'select count(*), sum(n) from t'
                    """,
                ])
            #expect(copied.output == "200000|20000100000\n", "\(copied)")
            await postgres.stop()
            let down = try Self.psql(port, "select 1")
            #expect(down.errors.contains("the database behind this port does not accept connections"), "\(down)")
            await far.proxy.beginDrain()
            let away = try Self.psql(port, "select 1")
            #expect(away.errors.contains("the remote end of this tunnel cannot be reached"), "\(away)")
            try far.proxy.undrain()
            await near.proxy.stop()
            await far.proxy.stop()
        }

        @Test func `is cancelled through a connection of its own, by its own client alone`() async throws {
            let postgres = try await TestPostgres()
            let (far, near) = try Self.nodes(postgres)
            let port = near.port(of: "out")
            let psql = try Subprocess(
                "psql", ["-XAtq", "-d", Self.connection(port, "prefer"), "-c", "select pg_sleep(60)"])
            let isRunning = await eventually(within: 20) {
                (try? postgres.direct(
                    "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'")) == "1\n"
            }
            #expect(isRunning)
            #expect(near.proxy.house.cancels.count == 1 && far.proxy.house.cancels.count == 1)
            let guess = try TestSocket(port: port)
            try guess.send([0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2])
            #expect((try? guess.receiveAll()) ?? [] == [])
            #expect(await eventually(within: 20) { near.events.named(.cancelDropped).count == 1 })
            #expect(psql.isRunning)
            psql.signal(SIGINT)
            let outcome = try await psql.waitForEnd(within: 60)
            #expect(outcome.errors.contains("canceling statement due to user request"), "\(outcome)")
            #expect(near.events.named(.cancelForwarded).first?.fields["tunnel"] == "out")
            #expect(far.events.named(.cancelForwarded).count == 1)
            #expect(await eventually(within: 20) { near.proxy.house.cancels.count == 0 && near.unauthenticated == 0 })
            await near.proxy.stop()
            await far.proxy.stop()
        }
    }
}
