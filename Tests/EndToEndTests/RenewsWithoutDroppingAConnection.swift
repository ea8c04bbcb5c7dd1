import Foundation
import Testing

@Suite(.serialized) struct `A renewed certificate` {
    @Test func `is served to new clients while the old connection goes on and none is refused`() async throws {
        let fleet = try await Fleet(lifetime: 30)
        let first = try servedSerial(fleet)
        let connection = """
            host=localhost hostaddr=127.0.0.1 port=\(fleet.listenPort) dbname=postgres user=postgres \
            sslmode=verify-full sslrootcert=\(fleet.folder)/trust.pem sslcert=\(fleet.folder)/shop/client.crt \
            sslkey=\(fleet.folder)/shop/client.key
            """
        let long = try Program(
            "/usr/bin/psql",
            ["-XAtq", "-d", connection, "-c", "select pg_sleep(120)", "-c", "select 'still here'"],
            log: fleet.folder + "/long.log")
        var failures = 0
        var connections = 0
        let deadline = ContinuousClock.now + .seconds(60)
        while try servedSerial(fleet) == first, ContinuousClock.now < deadline {
            for _ in 0..<10 where try fleet.psql("select 1").status != 0 { failures += 1 }
            connections += 10
        }
        #expect(try servedSerial(fleet) != first, "no renewal in 60 s of a 30 s life")
        for _ in 0..<10 where try fleet.psql("select 1").status != 0 { failures += 1 }
        #expect(failures == 0, "of \(connections + 10)")
        _ = try fleet.psql("select pg_cancel_backend(pid) from pg_stat_activity where query = 'select pg_sleep(120)'")
        _ = await long.waitForExit(within: 30)
        #expect(long.log.contains("still here"), "\(long.log)")
    }

    /// As a client sees it, not as the agent says it.
    private func servedSerial(_ fleet: Fleet) throws -> String {
        let shown = try Program.shell(
            """
            openssl s_client -starttls postgres -connect 127.0.0.1:\(fleet.listenPort) \
                -cert \(fleet.folder)/shop/client.crt -key \(fleet.folder)/shop/client.key </dev/null 2>/dev/null |
                openssl x509 -noout -serial
            """)
        return shown.output
    }
}
