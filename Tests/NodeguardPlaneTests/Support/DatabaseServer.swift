import Foundation
import Synchronization
import TestSupport

@testable import nodeguard_plane

/// A real PostgreSQL 15 on loopback. It does not run as root, and ends with its last reference or this process.
final class DatabaseServer: Sendable {
    private static let programs = "/usr/lib/postgresql/15/bin"
    private static let asNobody = ["--reuid=nobody", "--clear-groups"]
    private let folder: TemporaryDirectory
    private let server = Mutex<Subprocess?>(nil)
    private let databases = Atomic(0)
    let port: Int

    /// One for all tests that only need a database of their own.
    static let shared = Result {
        let server = try DatabaseServer()
        running.withLock { $0 = server }
        _ = endsAtExit
        return server
    }
    private static let running = Mutex<DatabaseServer?>(nil)
    private static let endsAtExit = atexit { DatabaseServer.running.withLock { $0 }?.stop() } == 0

    init() throws {
        folder = try temporaryDirectory()
        port = try freePort()
        try Subprocess.check("chmod", ["711", folder.path])
        try Subprocess.check("install", ["-d", "-o", "nobody", "-m", "700", data])
        try Subprocess.check(
            "setpriv",
            Self.asNobody + [
                "\(Self.programs)/initdb", "-D", data, "-U", "plane", "-A", "trust", "-E", "UTF8", "--no-sync",
            ])
        try start()
    }

    deinit { stop() }

    private var data: String { folder.file("data") }

    /// timeout(1): should this process be killed, the server is not left for ever.
    func start() throws {
        let new = try Subprocess(
            "timeout",
            ["3600", "setpriv"] + Self.asNobody + [
                "\(Self.programs)/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=600",
            ])
        server.withLock { $0 = new }
        let isReady = eventuallyBlocking(within: 60) {
            new.errors.contains("ready to accept connections") || !new.isRunning
        }
        guard isReady, new.isRunning else { throw TestSupportError("no PostgreSQL: \(new.errors)") }
    }

    /// At once, as after a crash.
    func stop() {
        let old = server.withLock { $0 }
        old?.signal(SIGQUIT)
        _ = try? old?.end(within: 30)
    }

    /// The URL of a new, empty database.
    func makeDatabase() throws -> String {
        let name = "plane_\(databases.add(1, ordering: .relaxed).newValue)"
        // Ordered as people do, which is not how the plane orders.
        try query("postgres", "CREATE DATABASE \(name) TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
        return "postgresql://plane@127.0.0.1:\(port)/\(name)"
    }

    /// What psql prints.
    @discardableResult
    func query(_ database: String, _ sql: String) throws -> String {
        try Subprocess.check(
            "psql",
            [
                "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "host=127.0.0.1 port=\(port) user=plane dbname=\(database)",
                "-c", sql,
            ])
    }
}

/// Where the planes of a test run keep their state. All tests of this module run with each: `packaging/test` runs them
/// once more with NODEGUARD_TEST_STORE=postgresql.
enum TestStore {
    case sqlite
    case postgresql(DatabaseServer)

    static let isPostgres = ProcessInfo.processInfo.environment["NODEGUARD_TEST_STORE"] == "postgresql"

    static var usual: TestStore {
        get throws { isPostgres ? .postgresql(try DatabaseServer.shared.get()) : .sqlite }
    }

    static func prepare(_ folder: String) throws { try usual.prepare(folder) }

    /// Before the first start of a plane there.
    func prepare(_ folder: String) throws {
        guard case .postgresql(let server) = self else { return }
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let url = try server.makeDatabase()
        try Data((url + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/database"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/database")
    }

    /// The URL of an empty database; nil: this run keeps its states in files.
    static func newDatabase() throws -> String? {
        guard case .postgresql(let server) = try usual else { return nil }
        return try server.makeDatabase()
    }

    static func makeState(_ folder: String) throws -> PlaneState {
        try prepare(folder)
        return try PlaneState.open(folder, creating: true)
    }

    static func store(_ folder: String) throws -> PlaneStore {
        try PostgresAddress.named(in: folder).map { PlaneStore.postgresql($0) }
            ?? PlaneStore.sqlite(path: folder + "/plane.sqlite")
    }

    /// Someone with the database in hand. The SQL is SQLite's, as far as a schema's types go.
    static func change(_ folder: String, _ sql: String) throws {
        try store(folder).write { try $0.execute(sql: $0.dialect == .postgresql ? inPostgreSQL(sql) : sql) }
    }

    private static func inPostgreSQL(_ sql: String) -> String {
        let texts = [
            ("CAST(event AS TEXT)", "convert_from(event, 'UTF8')"), ("CAST(replace", "convert_to(replace"),
            (" AS BLOB)", ", 'UTF8')"), ("char(10)", "chr(10)"),
        ]
        return PostgresStatement.schema(texts.reduce(sql) { $0.replacing($1.0, with: $1.1) })
    }

    /// All that is written, as it is or in hex.
    static func contents(_ folder: String) throws -> [Data] {
        guard let address = try PostgresAddress.named(in: folder) else {
            return try ["plane.sqlite", "plane.sqlite-wal"].map {
                try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0))
            }
        }
        return [
            Data(try Subprocess.check("pg_dump", ["-d", address.description.replacing("//", with: "//plane@")]).utf8)
        ]
    }
}
