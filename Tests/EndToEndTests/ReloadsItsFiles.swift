import Foundation
import Testing

@Suite(.serialized) struct `Certificates and authorities in files` {
    /// A second port whose certificate and authorities come from files in `own/`.
    private static func fleet() async throws -> (Fleet, Int) {
        let port = try freePort()
        let fleet = try await Fleet(start: false)
        try FileManager.default.createDirectory(atPath: fleet.folder + "/own", withIntermediateDirectories: true)
        for name in ["one", "two"] { try authority(name, in: fleet) }
        try install("one", in: fleet)
        try install("ca.pem", from: "one/ca.pem", in: fleet)
        let own = """
                - name: own
                  listen: ["127.0.0.1:\(port)"]
                  protocol: postgres
                  backend: 127.0.0.1:\(fleet.postgres.port)
                  certificate: own
                  trust: ["file:\(fleet.folder)/own/ca.pem"]
                  allow: [ { common-name: [shop] } ]
            backups:
            """
        let role = "{ name: own, files: { chain: \(fleet.folder)/own/chain.pem, key: \(fleet.folder)/own/key.pem } }"
        try fleet.configuration.replacing("\nbackups:", with: "\n" + own)
            .replacing("usage: [server, client] } ]", with: "usage: [server, client] }, \(role) ]")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        return (fleet, port)
    }

    /// An authority as `openssl req` makes it by default, with a server's certificate and a client's.
    private static func authority(_ name: String, in fleet: Fleet) throws {
        let script = """
            cd \(fleet.folder) && mkdir -p \(name) && cd \(name) &&
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
                -subj '/CN=\(name) root' &&
            for leaf in server:localhost:serverAuth client:shop:clientAuth; do
                IFS=: read -r file subject use <<<"$leaf"
                openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $file.key -out $file.csr \
                    -subj "/CN=$subject" &&
                openssl x509 -req -in $file.csr -CA ca.pem -CAkey ca.key -days 2 -out $file.crt \
                    -extfile <(printf '%s\n' \
                    "subjectAltName=DNS:$subject" "extendedKeyUsage=$use" keyUsage=critical,digitalSignature \
                    basicConstraints=critical,CA:FALSE subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) || exit 1
            done
            """
        let made = try Program.shell(script)
        try #require(made.status == 0, "\(made)")
    }

    /// Puts a server's certificate and key in place, by renaming.
    private static func install(_ name: String, in fleet: Fleet) throws {
        try install("key.pem", from: name + "/server.key", in: fleet)
        try install("chain.pem", from: name + "/server.crt", in: fleet)
    }

    private static func install(_ file: String, from source: String, in fleet: Fleet) throws {
        let folder = fleet.folder
        let moved = try Program.shell(
            "cp \(folder)/\(source) \(folder)/own/.new && mv \(folder)/own/.new \(folder)/own/\(file)")
        try #require(moved.status == 0, "\(moved)")
    }

    private static func psql(_ fleet: Fleet, _ port: Int, as client: String, trusting server: String) throws -> Outcome
    {
        let folder = fleet.folder
        return try Program.run(
            "/usr/bin/psql",
            [
                "-XAtq", "-c", "select 1", "-d",
                """
                host=localhost hostaddr=127.0.0.1 port=\(port) dbname=postgres user=postgres sslmode=verify-full \
                sslrootcert=\(folder)/\(server)/ca.pem sslcert=\(folder)/\(client)/client.crt \
                sslkey=\(folder)/\(client)/client.key connect_timeout=20
                """,
            ])
    }

    private static func isServed(_ fleet: Fleet, _ port: Int, as client: String, by server: String) -> Bool {
        (try? psql(fleet, port, as: client, trusting: server))?.status == 0
    }

    @Test func `are taken up by themselves once they are in place, however they were put there`() async throws {
        let (fleet, port) = try await Self.fleet()
        #expect(Self.isServed(fleet, port, as: "one", by: "one"))
        #expect(!Self.isServed(fleet, port, as: "two", by: "one"))
        try Self.install("two", in: fleet)
        #expect(await eventually(within: 20) { Self.isServed(fleet, port, as: "one", by: "two") })
        // In place, in two halves.
        let folder = fleet.folder
        let written = try Program.shell(
            """
            exec 3>\(folder)/own/ca.pem; half=$(($(wc -c <\(folder)/two/ca.pem) / 2))
            head -c $half \(folder)/two/ca.pem >&3; read -rt 1 <> <(:); tail -c +$((half + 1)) \(folder)/two/ca.pem >&3
            """)
        #expect(written.status == 0 || written.status == 142, "\(written)")
        #expect(await eventually(within: 20) { Self.isServed(fleet, port, as: "two", by: "two") })
        #expect(!Self.isServed(fleet, port, as: "one", by: "two"))
        #expect(!fleet.agent.log.contains("FILES_REFUSED"), "nobody looked at a half: \(fleet.agent.log)")
        #expect(fleet.agent.log.contains("configuration.loaded"))
    }

    @Test func `that are bad change nothing, and every way to ask says why`() async throws {
        let (fleet, port) = try await Self.fleet()
        let folder = fleet.folder
        try Self.install("two", in: fleet)
        #expect(await eventually(within: 20) { Self.isServed(fleet, port, as: "one", by: "two") })
        // A good certificate beside authorities of which the second block is broken.
        let broken = try Program.shell(
            """
            { cat \(folder)/two/ca.pem; sed 's/MII/M!I/' \(folder)/one/ca.pem; } >\(folder)/own/.new &&
            mv \(folder)/own/.new \(folder)/own/ca.pem
            """)
        #expect(broken.status == 0)
        try Self.install("one", in: fleet)
        let reload = try fleet.nodeguard(["reload", "--wait"])
        #expect(reload.status == 78, "\(reload)")
        #expect(reload.errors.contains(/listener own: trust "file:.*own\/ca\.pem".*block 2 \(line \d+\)/), "\(reload)")
        let isTold = await eventually(within: 20) {
            guard let reasons = (try? fleet.status())?["reasons"] as? [[String: Any]] else { return false }
            return ["CONFIGURATION_REFUSED", "FILES_REFUSED"].allSatisfy { code in
                reasons.contains { $0["code"] as? String == code && "\($0["detail"] ?? "")".contains("block 2") }
            }
        }
        #expect(isTold, "\(fleet.agent.log)")
        #expect(Self.isServed(fleet, port, as: "one", by: "two"), "neither the certificate nor the trust is another")
        let events = try fleet.nodeguard(["audit", "tail", "-n", "50"]).output
        #expect(events.contains(/configuration\.loaded failure .*block 2/), "\(events)")
        let unable = try Program.shell(
            """
            cd \(folder) && openssl req -x509 -key two/ca.key -days 2 -subj '/CN=two root' -out unable.pem \
                -addext keyUsage=critical,cRLSign
            """)
        #expect(unable.status == 0, "\(unable)")
        try Self.install("ca.pem", from: "unable.pem", in: fleet)
        let useless = try fleet.nodeguard(["reload", "--wait"])
        #expect(useless.status == 78 && useless.errors.contains("keyCertSign"), "\(useless)")
        #expect(useless.errors.contains(/nodeguard\.yaml:\d+:\d+: listener own: trust/), "\(useless)")
        #expect(Self.isServed(fleet, port, as: "one", by: "two"), "whom nobody could be verified under is not taken")
        try Self.install("ca.pem", from: "two/ca.pem", in: fleet)
        let again = try fleet.nodeguard(["reload", "--wait"])
        #expect(again.status == 0, "\(again)")
        #expect(Self.isServed(fleet, port, as: "two", by: "one"))
        let codes = (try fleet.status()["reasons"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String }
        #expect(!codes.contains("CONFIGURATION_REFUSED") && !codes.contains("FILES_REFUSED"))
    }

    @Test func `are in effect when reload --wait returns, and whoever they do not cover is gone`() async throws {
        let (fleet, port) = try await Self.fleet()
        let held = try Program(
            "/usr/bin/psql",
            [
                "-XAtq", "-c", "select pg_sleep(60)", "-d",
                """
                host=localhost hostaddr=127.0.0.1 port=\(port) dbname=postgres user=postgres sslmode=verify-full \
                sslrootcert=\(fleet.folder)/one/ca.pem sslcert=\(fleet.folder)/one/client.crt \
                sslkey=\(fleet.folder)/one/client.key
                """,
            ], log: fleet.folder + "/held.log")
        let isHeld = await eventually(within: 20) {
            ((try? fleet.status())?["proxy"] as? [String: Any])?["connections"] as? Int == 1
        }
        #expect(isHeld)
        try Self.install("ca.pem", from: "two/ca.pem", in: fleet)
        let reload = try fleet.nodeguard(["reload", "--wait"])
        #expect(reload.status == 0, "\(reload)")
        let live = try fleet.nodeguard(["connections"]).output
        #expect(live == "no connection\n", "\(live)")
        #expect(await held.waitForExit(within: 60) != 0)
        #expect(Self.isServed(fleet, port, as: "two", by: "one"))
    }
}
