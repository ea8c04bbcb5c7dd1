import Foundation
import TestSupport

/// A real PostgreSQL 15 with pgbench's tables: its port takes the proxies in clear, and clients of its own TLS with
/// their certificates.
final class BenchmarkDatabase: Sendable {
    static let programs = "/usr/lib/postgresql/15/bin"
    private static let asNobody = ["--reuid=nobody", "--clear-groups"]

    /// A child inherits the signals that Dispatch blocks on its threads.
    private static let start = ["--default-signal", "setpriv"] + asNobody
    private let folder: TemporaryDirectory
    private let authority: TestAuthority
    private let server: TestIdentity
    private let client: TestIdentity
    private let process: Subprocess
    let securePort: Int

    init() async throws {
        folder = try temporaryDirectory()
        authority = try TestAuthority(name: "Benchmark")
        server = try authority.server()
        client = try authority.client(name: "bench")
        securePort = try freePort()
        let data = folder.file("data")
        try Subprocess.check("chmod", ["711", folder.path])
        try Subprocess.check("install", ["-d", "-o", "nobody", "-m", "700", data])
        let home = folder.path
        for (source, name, mode) in [
            (server.chainPath, "server.pem", "644"), (server.keyPath, "server.key", "600"),
            (authority.trustPath, "ca.pem", "644"),
        ] {
            try Subprocess.check("install", ["-o", "nobody", "-m", mode, source, "\(home)/\(name)"])
        }
        let asNobody = Self.asNobody
        try Subprocess.check(
            "setpriv", asNobody + [Self.programs + "/initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync"])
        let rules = try folder.write(
            """
            hostssl all all samehost trust clientcert=verify-full
            hostnossl all all samehost trust

            """, to: "hba.conf")
        let settings = [
            "port=\(securePort)", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "ssl=on",
            "ssl_cert_file=\(home)/server.pem", "ssl_key_file=\(home)/server.key", "ssl_ca_file=\(home)/ca.pem",
            "ssl_min_protocol_version=TLSv1.3", "hba_file=\(rules)", "max_connections=200",
        ].flatMap { ["-c", $0] }
        process = try Subprocess("/usr/bin/env", Self.start + [Self.programs + "/postgres", "-D", data] + settings)
        try await process.waitForLine(containing: "ready to accept connections")
        let inClear = ["-h", "127.0.0.1", "-p", "\(securePort)", "-U", "bench"]
        let environment = ["PGSSLMODE": "disable"]
        try Subprocess.check(Self.programs + "/createdb", inClear + ["bench"], environment: environment)
        try Subprocess.check(
            Self.programs + "/pgbench", ["-i", "-q", "-s", "10"] + inClear + ["bench"], environment: environment)
    }

    /// It writes into its folder until it is gone.
    deinit {
        process.signal(SIGQUIT)
        _ = try? process.end(within: 10)
    }

    var clientEnvironment: [String: String] {
        [
            "PGSSLMODE": "verify-full", "PGSSLCERT": client.chainPath, "PGSSLKEY": client.keyPath,
            "PGSSLROOTCERT": authority.trustPath, "PGHOSTADDR": "127.0.0.1",
        ]
    }

    func startNodeguard(_ program: String, round: Int) throws -> Subject {
        let port = try freePort()
        let home = folder.file("node-\(round)")
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let configuration = try folder.write(
            """
            node: { name: benchmark, cluster: benchmark, state: \(home)/state }
            certificates:
              roles:
                - { name: database, files: { chain: \(server.chainPath), key: \(server.keyPath) } }
            proxy:
              limits:
                handshakes-per-second: 100000
                per-address: { connections: off, unauthenticated: off, rate: off }
                per-prefix: { unauthenticated: off }
              listeners:
                - name: benchmark
                  listen: ["127.0.0.1:\(port)"]
                  protocol: postgres
                  backend: 127.0.0.1:\(securePort)
                  certificate: database
                  trust: ["file:\(authority.trustPath)"]
                  allow: [ { common-name: bench } ]
            status: { socket: \(home)/status.sock, control: \(home)/control.sock, stream: \(home)/stream.sock }
            log: { level: warning }

            """, to: "nodeguard-\(round).yaml")
        return Subject("nodeguard", try Subprocess(program, ["run", "--config", configuration]), port: port)
    }

    /// It does not run as root.
    func startPgBouncer() throws -> Subject {
        let port = try freePort()
        let users = try folder.write("\"bench\" \"\"\n", to: "users.txt")
        let configuration = try folder.write(
            """
            [databases]
            bench = host=127.0.0.1 port=\(securePort) dbname=bench
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = trust
            auth_file = \(users)
            pool_mode = session
            default_pool_size = 50
            max_client_conn = 200
            server_tls_sslmode = disable
            client_tls_sslmode = verify-full
            client_tls_cert_file = \(folder.path)/server.pem
            client_tls_key_file = \(folder.path)/server.key
            client_tls_ca_file = \(folder.path)/ca.pem
            client_tls_protocols = tlsv1.3
            log_connections = 0
            log_disconnections = 0

            """, to: "pgbouncer-\(port).ini")
        let process = try Subprocess("/usr/bin/env", Self.start + ["/usr/sbin/pgbouncer", configuration])
        return Subject("pgbouncer", process, port: port)
    }
}
