import Foundation
import TestSupport

/// Where the plane that is measured keeps its state. Both are durable: SQLite as the plane opens it, PostgreSQL as it
/// is shipped.
enum PlaneDatabase {
    case sqlite
    case postgresql(PlanePostgres)

    var subject: String {
        switch self {
        case .sqlite: "nodeguard"
        case .postgresql: "with PostgreSQL"
        }
    }

    /// Before the plane's first start.
    func arguments() throws -> [String] {
        switch self {
        case .sqlite: []
        case .postgresql(let server): ["--database", try server.makeDatabase()]
        }
    }

    func literal(_ bytes: [UInt8]) -> String {
        let hex = bytes.map { String(format: "%02x", $0) }.joined()
        return switch self {
        case .sqlite: "X'\(hex)'"
        case .postgresql: "'\\x\(hex)'"
        }
    }

    /// Beside the running plane. `state`: its folder.
    func execute(_ file: String, state: String, arguments: [String]) throws {
        switch self {
        case .sqlite:
            try Subprocess.check(
                "sqlite3", ["-bail", "-cmd", ".timeout 10000", state + "/plane.sqlite", ".read \(file)"])
        case .postgresql:
            let url = arguments.last ?? ""
            try Subprocess.check("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", file])
        }
    }
}

/// A real PostgreSQL 15 on loopback with the settings of its package.
final class PlanePostgres: Sendable {
    private static let asNobody = ["--reuid=nobody", "--clear-groups"]
    private let folder: TemporaryDirectory
    private let process: Subprocess
    private let port: Int
    private let count = SharedCount()

    init() async throws {
        folder = try temporaryDirectory()
        port = try freePort()
        let data = folder.file("data")
        try Subprocess.check("chmod", ["711", folder.path])
        try Subprocess.check("install", ["-d", "-o", "nobody", "-m", "700", data])
        let programs = BenchmarkDatabase.programs
        try Subprocess.check(
            "setpriv", Self.asNobody + [programs + "/initdb", "-D", data, "-U", "plane", "-A", "trust", "-E", "UTF8"])
        process = try Subprocess(
            "setpriv",
            Self.asNobody + [
                programs + "/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=",
            ])
        try await process.waitForLine(containing: "ready to accept connections")
    }

    /// It writes into its folder until it is gone.
    deinit {
        process.signal(SIGQUIT)
        _ = try? process.end(within: 10)
    }

    /// The URL of a new, empty database.
    func makeDatabase() throws -> String {
        count.add(1)
        let name = "plane\(count.value)"
        try Subprocess.check(
            "psql",
            [
                "-XAtq", "-d", "host=127.0.0.1 port=\(port) user=plane dbname=postgres", "-c",
                "CREATE DATABASE \(name)",
            ])
        return "postgresql://plane@127.0.0.1:\(port)/\(name)"
    }
}
