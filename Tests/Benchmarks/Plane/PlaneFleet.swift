import Foundation
import IO
import OpenSSL
import PlaneClient
import TestSupport

/// A running plane with one cluster, and nodes whose keys and requests are made beforehand and whose join tokens stand
/// in the plane's database as `token create` writes them.
final class PlaneFleet {
    static let cluster = "benchmark"

    let address: SocketAddress
    let process: Subprocess
    private let program: String
    private let state: String
    private let database: PlaneDatabase
    private let arguments: [String]
    private let folder: TemporaryDirectory
    private let trust: TrustAnchors
    private var identities: [TLSIdentity] = []

    /// `program`: nodeguard-plane.
    init(_ program: String, _ database: PlaneDatabase) async throws {
        self.program = program
        self.database = database
        folder = try temporaryDirectory()
        state = folder.file("plane")
        arguments = try ["--state", state] + database.arguments()
        let port = try freePort()
        address = .ipv4([127, 0, 0, 1], port: UInt16(port))
        process = try Subprocess(program, ["run", "--listen", "127.0.0.1:\(port)"] + arguments)
        try await process.waitForLine(containing: "listening on ", within: 60)
        try Subprocess.check(program, ["cluster", "create", Self.cluster] + arguments)
        let root = folder.file("root.pem")
        try Subprocess.check(program, ["trust", "--out", root] + arguments)
        trust = try TrustAnchors(pem: try Files.read(root, limit: 64 << 10))
    }

    func verb(_ words: String...) throws -> String { try Subprocess.check(program, words + arguments) }

    func end() async throws {
        process.signal(SIGTERM)
        _ = try await process.waitForEnd(within: 30)
    }

    // MARK: nodes that join

    struct Newcomers {
        let keys: [PrivateKey]
        let calls: [PlaneCall]
    }

    /// `keys`: one for each node.
    func newcomers(_ keys: [PrivateKey]) throws -> Newcomers {
        let names = keys.indices.map { "db-\($0)" }
        let tokens = try invite(names)
        let context = try TLSContext.client(identity: nil, trust: trust, serverName: "127.0.0.1", minimum: .tls13)
        let calls = try zip(names, zip(keys, tokens)).enumerated().map { number, node in
            let (name, (key, token)) = node
            let request = try SigningRequest.make(
                key: key, commonName: name, organization: Self.cluster, dnsNames: [name],
                uris: ["spiffe://\(Self.cluster)/node/\(name)"], serverAuth: false, clientAuth: true)
            return PlaneCall(
                number: number, context: context,
                request: PlaneCall.enrollment(cluster: Self.cluster, token: token, request: request))
        }
        return Newcomers(keys: keys, calls: calls)
    }

    /// A verb for each would take minutes.
    private func invite(_ names: [String]) throws -> [String] {
        let now = Int64(Date().timeIntervalSince1970)
        var (tokens, nodeRows, tokenRows): ([String], [String], [String]) = ([], [], [])
        for (number, name) in names.enumerated() {
            let id = String(format: "%016x", number)
            let secret = (0..<32).map { _ in UInt8.random(in: 0...255) }
            let text = Data(secret).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            tokens.append("\(id).\(text.replacing("=", with: ""))")
            nodeRows.append("('\(Self.cluster)', '\(name)', \(now))")
            let digest = database.literal(Digest.sha256(secret))
            tokenRows.append("('\(id)', \(digest), '\(Self.cluster)', '\(name)', \(now), \(now + 86_400))")
        }
        let file = try folder.write(
            """
            BEGIN;
            INSERT INTO nodes (cluster, name, created_at) VALUES \(nodeRows.joined(separator: ",\n"));
            INSERT INTO tokens (id, digest, cluster, node, created_at, expires_at)
            VALUES \(tokenRows.joined(separator: ",\n"));
            COMMIT;

            """, to: "tokens.sql")
        try database.execute(file, state: state, arguments: arguments)
        return tokens
    }

    // MARK: nodes that have joined

    /// Takes what each was given.
    func adopt(_ newcomers: Newcomers, _ answers: [(number: Int, answer: PlaneAnswer)]) throws {
        identities = try answers.map { number, answer in
            guard answer.status == 200 else {
                throw BenchmarkError("status \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
            }
            let chain = try CertificateBag.certificates(inBase64: answer.body)
            return try TLSIdentity(chain: chain, key: newcomers.keys[number])
        }
    }

    var serials: [String] { identities.map(\.leaf.serial) }

    /// Each waits for the next revocation list.
    func waiting(_ count: Int) throws -> [PlaneCall] {
        try identities.prefix(count).enumerated().map { number, identity in
            PlaneCall(
                number: number,
                context: try TLSContext.client(
                    identity: identity, trust: trust, serverName: "127.0.0.1", minimum: .tls13),
                request: .news(cluster: Self.cluster))
        }
    }
}
