import Foundation
import IO
import OpenSSL
import TestSupport

/// A real plane with one cluster, a node of it whose listener looks its clients up in the cluster's CRLs, and clients.
struct PlaneOfBenchmark {
    private static let cluster = "benchmark"

    private let program: String
    private let folder: String
    private let plane: Subprocess
    private let port: Int

    /// `program`: nodeguard-plane.
    init(_ program: String, in folder: String) async throws {
        self.program = program
        self.folder = folder
        try FileManager.default.createDirectory(
            atPath: folder + "/node", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        port = try freePort()
        plane = try Subprocess(program, ["run", "--state", folder + "/plane", "--listen", "127.0.0.1:\(port)"])
        try await plane.waitForLine(containing: "listening on ", within: 60)
        try verb("cluster", "create", Self.cluster)
        try verb(
            "role", "allow", "--cluster", Self.cluster, "--node", "db-1", "--role", "database", "--dns", "localhost")
        let token = try verb("token", "create", "--cluster", Self.cluster, "--node", "db-1")
        try Files.write(Array(token.utf8), to: folder + "/bundle", mode: 0o600)
    }

    @discardableResult
    func verb(_ words: String...) throws -> String {
        try Subprocess.check(program, words + ["--state", folder + "/plane"])
    }

    func client(_ name: String) throws -> TLSIdentity {
        let place = folder + "/" + name
        try verb("client-certificate", "--cluster", Self.cluster, "--name", name, "--out", place)
        return try TLSIdentity(
            chainFile: try Files.read(place + "/client.crt", limit: 64 << 10), keyFile: place + "/client.key")
    }

    /// As `Scenery.startNodeguard`, joined.
    func startNodeguard(_ program: String, backend: SocketAddress) throws -> Subject {
        let listening = try freePort()
        let configuration = """
            node: { name: db-1, cluster: \(Self.cluster), state: \(folder)/node }
            management: { url: "https://127.0.0.1:\(port)", join: \(folder)/bundle }
            certificates:
              roles: [ { name: database, names: [localhost], usage: [server] } ]
            proxy:
              lanes: { data: 1, handshake: 1 }
              limits:
                connections: 20000
                unauthenticated: 4096
                handshakes-per-second: 100000
                per-address: { connections: off, unauthenticated: off, rate: off }
                per-prefix: { unauthenticated: off }
              listeners:
                - name: benchmark
                  listen: ["127.0.0.1:\(listening)"]
                  protocol: tcp
                  backend: \(backend)
                  certificate: database
                  trust: [cluster]
                  crl: [cluster]
                  allow: [ { uri: "spiffe://\(Self.cluster)/app/*" } ]
            status: { socket: \(folder)/s.sock, control: \(folder)/c.sock, stream: \(folder)/b.sock }
            log: { level: warning }

            """
        try Files.write(Array(configuration.utf8), to: folder + "/nodeguard.yaml", mode: 0o600)
        let process = try Subprocess(program, ["run", "--config", folder + "/nodeguard.yaml"])
        return Subject("nodeguard", process, port: listening)
    }

    func end() async throws {
        plane.signal(SIGTERM)
        _ = try await plane.waitForEnd(within: 20)
    }
}
