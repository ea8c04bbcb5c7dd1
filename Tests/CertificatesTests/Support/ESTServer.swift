import Foundation
import PlaneAPI
import TestSupport

/// The Python EST server in a process of its own, with a new root, on a free port.
final class ESTServer {
    struct Request: Decodable {
        let path: String
        let hasPassword: Bool
        /// Serial of the certificate that the client showed.
        let client: String?
        /// Digest of the public key of the request.
        let key: String?
        let valid: Bool?
    }

    static let token = "secret-token-\(UUID().uuidString)"

    let folder: TemporaryDirectory
    private(set) var url = ""
    private var process: Subprocess
    private var settings: [String: Any] = ["token": ESTServer.token]
    private let script: String

    init(_ settings: [String: Any] = [:]) async throws {
        folder = try TemporaryDirectory(prefix: "est")
        script = try folder.write(pythonESTServer, to: "server.py")
        try folder.write("", to: "requests")
        self.settings.merge(settings) { $1 }
        try Self.write(self.settings, to: folder)
        process = try Subprocess(try PythonPeers.python(), [script, folder.path, "0"])
        try await process.waitForLine(containing: "listening", within: 60)
        let port = process.output.split(separator: "\n").first { $0.hasPrefix("listening") }?.split(separator: " ").last
        url = "https://127.0.0.1:\(port ?? "0")"
    }

    func set(_ changes: [String: Any]) throws {
        settings.merge(changes) { $1 }
        try Self.write(settings, to: folder)
    }

    private static func write(_ settings: [String: Any], to folder: TemporaryDirectory) throws {
        let json = try JSONSerialization.data(withJSONObject: settings)
        try json.write(to: URL(fileURLWithPath: folder.file("settings.json")), options: .atomic)
    }

    func stop() { process.signal(SIGKILL) }

    var requests: [Request] {
        let text = String(decoding: (try? folder.read("requests")) ?? [], as: UTF8.self)
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
    }

    func count(_ operation: String) -> Int { requests.count { $0.path.hasSuffix("/" + operation) } }

    var pin: String { String(decoding: (try? folder.read("pin")) ?? [], as: UTF8.self) }
    var root: [UInt8] { get throws { try folder.read("root.pem") } }

    func bundle(pins: [String]? = nil, node: String = "db-1", token: String = ESTServer.token) throws -> String {
        try JoinBundle(url: url, cluster: "alpha", node: node, pins: pins ?? [pin], token: token).text
    }
}
