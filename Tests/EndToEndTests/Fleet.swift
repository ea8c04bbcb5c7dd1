import Foundation
import Testing

/// A real PostgreSQL 15 of its own, on loopback, as the user postgres; every connection is logged.
final class PostgresCluster: @unchecked Sendable {
    static let programs = "/usr/lib/postgresql/15/bin"
    let folder: String
    let port: Int
    private var server: Program?

    init(in parent: String) throws {
        folder = parent + "/postgres"
        port = try freePort()
        let script = """
            install -d -o postgres -g postgres -m 700 \(folder) &&
            runuser -u postgres -- \(Self.programs)/initdb -D \(folder) -U postgres -A trust --no-sync &&
            printf '%s\\n' "listen_addresses='127.0.0.1'" port=\(port) "unix_socket_directories='\(folder)'" \
                log_connections=on fsync=off \
                >>\(folder)/postgresql.conf
            """
        let made = try Program.shell(script)
        try #require(made.status == 0, "\(made)")
        try start()
    }

    deinit { stop() }

    /// In the foreground: a server that forks away would keep what `Process` waits on.
    func start() throws {
        server = try Program(
            "/usr/sbin/runuser", ["-u", "postgres", "--", Self.programs + "/postgres", "-D", folder],
            log: folder + ".log")
        let ready = try Program.shell(
            """
            for i in {1..200}; do psql -XAtq \(connection) -c 'select 1' && exit 0; read -rt 0.05 <> <(:); done
            exit 1
            """
        )
        try #require(ready.status == 0, "\(ready)\n\(log)")
    }

    func stop() {
        _ = try? Program.shell("runuser -u postgres -- \(Self.programs)/pg_ctl -D \(folder) -m immediate -s stop")
        server?.kill()
        server = nil
    }

    private var connection: String { "-h 127.0.0.1 -p \(port) -U postgres" }

    var log: String { (try? String(contentsOfFile: folder + ".log", encoding: .utf8)) ?? "" }
    var connectionCount: Int { log.components(separatedBy: "connection received").count - 1 }
}

/// A management plane, a database and one node with its agent, all real, in one folder that goes away with it.
final class Fleet: @unchecked Sendable {
    static let cluster = "cluster-a"
    static let node = "db-1"

    let folder: String
    let postgres: PostgresCluster
    let listenPort: Int
    private(set) var plane: Program
    private(set) var agent: Program
    let planePort: Int
    /// Extra YAML lists that a test wants in the configuration.
    private let extraListeners: String
    private let backupTarget: String

    /// `lifetime`: of the role's certificate, in seconds, where the test wants renewals. `hsm`: the URI of the token
    /// that holds the plane's keys.
    init(
        lifetime: Int? = nil, listeners: String = "", backupTarget: String? = nil, start: Bool = true,
        hsm: String? = nil
    ) async throws {
        folder = try temporaryFolder()
        postgres = try PostgresCluster(in: folder)
        listenPort = try freePort()
        planePort = try freePort()
        extraListeners = listeners
        self.backupTarget = backupTarget ?? "{ name: local, url: \"file://\(folder)/backups\" }"
        plane = try Self.startPlane(folder, planePort, hsm)
        let isListening = await eventually(within: 20) { [plane] in plane.log.contains("listening on https://") }
        try #require(isListening, "\(plane.log)")
        for path in ["node/join", "backups", "run"] {
            try FileManager.default.createDirectory(
                atPath: folder + "/" + path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        agent = plane
        try command(["cluster", "create", Self.cluster])
        try allowRole(lifetime: lifetime)
        try command(["trust", "--out", folder + "/trust.pem"])
        try clientCertificate("shop", uri: "spiffe://\(Self.cluster)/app/shop")
        try token(to: folder + "/node/join/bundle")
        try configuration.write(toFile: configPath, atomically: true, encoding: .utf8)
        if start {
            try startAgent()
            try await waitUntilReady()
        }
    }

    deinit {
        agent.kill()
        plane.kill()
        postgres.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    var configPath: String { folder + "/nodeguard.yaml" }
    var statusSocket: String { folder + "/run/status.sock" }

    var configuration: String {
        """
        node: { name: \(Self.node), cluster: \(Self.cluster), state: \(folder)/node }
        management: { url: "https://127.0.0.1:\(planePort)", join: \(folder)/node/join/bundle }
        certificates:
          roles: [ { name: database, names: [localhost], addresses: [127.0.0.1], usage: [server, client] } ]
        proxy:
          defaults: { drain: 2s }
          listeners:
            - name: ysql
              listen: ["127.0.0.1:\(listenPort)"]
              protocol: postgres
              backend: 127.0.0.1:\(postgres.port)
              certificate: database
              trust: [cluster]
              allow: [ { uri: "spiffe://\(Self.cluster)/app/*" } ]
        \(extraListeners)
        backups: { targets: [ \(backupTarget) ] }
        status: { socket: \(statusSocket), control: \(folder)/run/control.sock, stream: \(folder)/run/stream.sock }

        """
    }

    // MARK: the plane

    private static func startPlane(
        _ folder: String, _ port: Int, _ hsm: String? = nil, environment: [String: String] = [:]
    ) throws -> Program {
        try Program(
            Program.plane,
            ["run", "--state", folder + "/plane", "--listen", "127.0.0.1:\(port)"] + (hsm.map { ["--hsm", $0] } ?? []),
            log: folder + "/plane.log", environment: environment)
    }

    func restartPlane(environment: [String: String] = [:]) async throws {
        plane.kill()
        try? FileManager.default.removeItem(atPath: folder + "/plane.log")
        plane = try Self.startPlane(folder, planePort, environment: environment)
        let isListening = await eventually(within: 20) { [plane] in plane.log.contains("listening on https://") }
        try #require(isListening, "\(plane.log)")
    }

    @discardableResult func command(_ arguments: [String]) throws -> Outcome {
        let outcome = try Program.run(Program.plane, arguments + ["--state", folder + "/plane"])
        try #require(outcome.status == 0, "nodeguard-plane \(arguments): \(outcome)")
        return outcome
    }

    func allowRole(lifetime: Int? = nil) throws {
        var arguments = [
            "role", "allow", "--cluster", Self.cluster, "--node", Self.node, "--role", "database", "--dns", "localhost",
            "--ip", "127.0.0.1", "--usage", "server,client",
        ]
        if let lifetime { arguments += ["--lifetime", String(lifetime)] }
        try command(arguments)
    }

    func clientCertificate(_ name: String, uri: String) throws {
        try command([
            "client-certificate", "--cluster", Self.cluster, "--name", name, "--uri", uri, "--out", folder + "/" + name,
        ])
    }

    func token(to path: String) throws {
        let made = try command(["token", "create", "--cluster", Self.cluster, "--node", Self.node])
        try made.output.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    /// The plane's verdict on the audit log of this node.
    func auditVerdict() throws -> Outcome {
        try Program.run(Program.plane, ["audit", "verify", "--state", folder + "/plane", "--node", Self.node])
    }

    func arrivedEvents(_ count: Int = 1000) throws -> String {
        try command(["audit", "tail", "--node", Self.node, "-n", String(count)]).output
    }

    // MARK: the agent

    /// `descriptors`: how many it may have.
    func startAgent(environment: [String: String] = [:], descriptors: Int? = nil) throws {
        let command = [Program.nodeguard, "run", "--config", configPath]
        let limited = descriptors.map { ["/usr/bin/prlimit", "--nofile=\($0):\($0)"] } ?? []
        let words = limited + command
        agent = try Program(
            words[0], Array(words.dropFirst()), log: folder + "/nodeguard.log", environment: environment)
    }

    func waitUntilReady(within seconds: Double = 30) async throws {
        let isReady = await eventually(within: seconds) { [self] in httpStatus("/readyz") == "200" }
        try #require(isReady, "the agent did not become ready:\n\(agent.log)")
    }

    func httpStatus(_ path: String) -> String? {
        try? Program.run(
            "/usr/bin/curl",
            [
                "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", statusSocket,
                "http://node" + path,
            ]
        ).output
    }

    func status() throws -> [String: Any] {
        let answer = try Program.run("/usr/bin/curl", ["-sf", "--unix-socket", statusSocket, "http://node/v1/status"])
        let json = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
        return try #require(json as? [String: Any])
    }

    func nodeguard(_ arguments: [String], input: String? = nil) throws -> Outcome {
        try Program.run(Program.nodeguard, arguments + ["--config", configPath], input: input)
    }

    // MARK: a client

    /// A connection string through the agent's port. `parameters`: further words.
    func connection(as client: String?, _ parameters: String = "sslmode=verify-full") -> String {
        let certificate = client.map { "sslcert=\(folder)/\($0)/client.crt sslkey=\(folder)/\($0)/client.key" }
        return """
            host=localhost hostaddr=127.0.0.1 port=\(listenPort) dbname=postgres user=postgres connect_timeout=20 \
            sslrootcert=\(folder)/trust.pem \(certificate ?? "sslcert=/nonexistent") \(parameters)
            """
    }

    func psql(_ query: String, as client: String? = "shop", _ parameters: String = "sslmode=verify-full") throws
        -> Outcome
    {
        try Program.run("/usr/bin/psql", ["-XAtq", "-d", connection(as: client, parameters), "-c", query])
    }
}
