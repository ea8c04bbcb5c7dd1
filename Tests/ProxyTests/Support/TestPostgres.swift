import Foundation
import IO
import Synchronization
import TestSupport

/// A real PostgreSQL 15 on loopback, for one test; it does not run as root.
final class TestPostgres: Sendable {
    private static let programs = "/usr/lib/postgresql/15/bin"
    private static let asNobody = ["--reuid=nobody", "--clear-groups"]
    private let folder: TemporaryDirectory
    private let server = Mutex<Subprocess?>(nil)
    let port: UInt16

    var address: SocketAddress { .ipv4([127, 0, 0, 1], port: port) }

    /// `tls`: its certificate; then it takes connections over TLS with a client certificate only, and in clear those
    /// of the test itself.
    init(tls: TestIdentity? = nil) async throws {
        folder = try temporaryDirectory()
        port = UInt16(try freePort())
        try Subprocess.check("chmod", ["711", folder.path])
        try Subprocess.check("install", ["-d", "-o", "nobody", "-m", "700", data])
        try Subprocess.check(
            "setpriv",
            Self.asNobody + ["\(Self.programs)/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"])
        if let tls { try secure(with: tls) }
        try await start()
    }

    private func secure(with identity: TestIdentity) throws {
        let access = """
            hostnossl all postgres 127.0.0.1/32 trust
            hostssl all postgres 127.0.0.1/32 trust clientcert=verify-ca
            hostssl all scram 127.0.0.1/32 scram-sha-256 clientcert=verify-ca

            """
        let written = folder.file("access")
        try Data(access.utf8).write(to: URL(fileURLWithPath: written))
        let files = [
            (written, "pg_hba.conf"), (identity.chainPath, "server.crt"), (identity.keyPath, "server.key"),
            (try Stage.authority.get().trustPath, "root.crt"),
        ]
        for (source, name) in files {
            try Subprocess.check("install", ["-o", "nobody", "-m", "600", source, "\(data)/\(name)"])
        }
        let settings = "ssl = on\nssl_ca_file = 'root.crt'\n"
        try Data(settings.utf8).write(to: URL(fileURLWithPath: folder.file("settings")))
        try Subprocess.check(
            "install", ["-o", "nobody", "-m", "600", folder.file("settings"), "\(data)/postgresql.auto.conf"])
    }

    /// A user `scram` whose password is `pencil`.
    func prepareSCRAM() throws {
        try direct("set password_encryption = 'scram-sha-256'; create role scram login password 'pencil'")
    }

    /// Not through the proxy; what psql prints.
    @discardableResult
    func direct(_ query: String) throws -> String {
        try Subprocess.check(
            "psql",
            [
                "-XAtq", "-d", "host=127.0.0.1 port=\(port) user=postgres dbname=postgres sslmode=disable", "-c", query,
            ])
    }

    /// Its folder cannot be removed while it still writes there.
    deinit {
        let last = server.withLock { $0 }
        last?.signal(SIGQUIT)
        _ = try? last?.end(within: 10)
    }

    private var data: String { folder.file("data") }

    func start() async throws {
        let arguments =
            Self.asNobody + [
                "\(Self.programs)/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=", "-c", "fsync=off",
            ]
        let new = try Subprocess("setpriv", arguments)
        server.withLock { $0 = new }
        try await new.waitForLine(containing: "ready to accept connections")
    }

    /// At once, as after a crash. What it has logged.
    @discardableResult
    func stop() async -> String {
        let old = server.withLock { $0 }
        old?.signal(SIGQUIT)
        return (try? await old?.waitForEnd(within: 60))?.errors ?? ""
    }

    /// psql's connection string through a proxy.
    static func connection(_ port: UInt16, as identity: TestIdentity?, _ extra: String = "") throws -> String {
        let files = identity.map { "sslcert=\($0.chainPath) sslkey=\($0.keyPath)" } ?? "sslcert=/nowhere"
        return """
            host=localhost hostaddr=127.0.0.1 port=\(port) dbname=postgres user=postgres sslmode=verify-full \
            sslrootcert=\(try Stage.authority.get().trustPath) \(files) \(extra)
            """
    }

    static func psql(
        _ port: UInt16, as identity: TestIdentity?, _ query: String, _ extra: String = ""
    ) throws -> Subprocess.Result {
        try Subprocess.run("psql", ["-XAtq", "-d", try connection(port, as: identity, extra), "-c", query])
    }
}
