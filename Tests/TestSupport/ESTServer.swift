import Foundation
import PlaneAPI

/// `Peers/est_authority.py` in a process of its own, with a new root, on a free port: an EST server that shares no code
/// with ours, and misbehaves as it is told. One test at a time tells it.
package final class ESTServer: @unchecked Sendable {
    package struct Request: Decodable {
        package let path: String
        package let hasPassword: Bool
        /// Beside the password.
        package let user: String?
        /// Serial of the certificate that the client showed.
        package let client: String?
        /// Digest of the public key of the request, and of the request.
        package let key: String?
        package let request: String?
        package let valid: Bool?
        /// The key's curve, or `rsa`, and the signature's digest.
        package let kind: String?
        package let digest: String?
        package let subject: String?
        /// Object identifiers of the wished extensions.
        package let extensions: [String]?
        /// Bytes of an endless answer that the client took.
        package let sent: Int?
    }

    package static let token = "secret-token-\(UUID().uuidString)"

    package let folder: TemporaryDirectory
    package private(set) var url = ""
    private var process: Subprocess
    private var settings: [String: Any] = ["token": ESTServer.token]

    private static let script: String = {
        var url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        url.appendPathComponent("Peers/est_authority.py")
        return url.path
    }()

    package init(_ settings: [String: Any] = [:]) async throws {
        folder = try TemporaryDirectory(prefix: "est")
        try folder.write("", to: "requests")
        self.settings.merge(settings) { $1 }
        try Self.write(self.settings, to: folder)
        process = try Subprocess(try PythonPeers.python(), [Self.script, folder.path, "0"])
        url = "https://127.0.0.1:\(try await port())"
    }

    deinit { stop() }

    private func port() async throws -> Substring {
        try await process.waitForLine(containing: "listening", within: 60)
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening") }
        guard let port = line?.split(separator: " ").last else { throw TestSupportError("it does not say its port") }
        return port
    }

    package func set(_ changes: [String: Any]) throws {
        settings.merge(changes) { $1 }
        try Self.write(settings, to: folder)
    }

    private static func write(_ settings: [String: Any], to folder: TemporaryDirectory) throws {
        let json = try JSONSerialization.data(withJSONObject: settings)
        try json.write(to: URL(fileURLWithPath: folder.file("settings.json")), options: .atomic)
    }

    package func stop() { process.signal(SIGKILL) }

    /// With the same keys, at the same address.
    package func restart() async throws {
        stop()
        _ = try await process.waitForEnd()
        let old = url.split(separator: ":").last ?? "0"
        process = try Subprocess(try PythonPeers.python(), [Self.script, folder.path, String(old)])
        _ = try await port()
    }

    package var requests: [Request] {
        let text = String(decoding: (try? folder.read("requests")) ?? [], as: UTF8.self)
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
    }

    package func requests(_ path: String) -> [Request] { requests.filter { $0.path.hasSuffix(path) } }
    package func count(_ operation: String) -> Int { requests("/" + operation).count }

    package var pin: String { String(decoding: (try? folder.read("pin")) ?? [], as: UTF8.self) }
    package var root: [UInt8] { get throws { try folder.read("root.pem") } }

    package func bundle(
        pins: [String]? = nil, node: String = "db-1", token: String = ESTServer.token
    ) throws -> String {
        try JoinBundle(url: url, cluster: "alpha", node: node, pins: pins ?? [pin], token: token).text
    }
}
