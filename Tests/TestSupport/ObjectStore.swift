import Foundation

/// An S3 server of its own (moto): it verifies each signature, keeps objects in memory, and makes the faults that it is
/// told to make.
package final class ObjectStore: Sendable {
    package static let bucket = "backups"

    package let port: String
    package let accessKey: String
    package let secretKey: String
    private let process: Subprocess
    private let folder: TemporaryDirectory

    package let endpoint: String
    /// With the right credentials in the form of Amazon's tools.
    package var credentialsPath: String { folder.file("credentials") }

    /// `identity`: for TLS, of a server that is called 127.0.0.1.
    package init(_ identity: TestIdentity? = nil) async throws {
        folder = try TemporaryDirectory(prefix: "object-store")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Peers/object_store.py").path
        process = try Subprocess(
            try PythonPeers.python(), ["-u", script] + (identity.map { [$0.chainPath, $0.keyPath] } ?? []),
            keepsInputOpen: true)
        try await process.waitForLine(containing: "listening ", within: 60)
        let words = process.output.split(separator: "\n").first { $0.hasPrefix("listening ") }?.split(separator: " ")
        guard let words, words.count == 4 else { throw TestSupportError("no port: \(process.output)") }
        (port, accessKey, secretKey) = (String(words[1]), String(words[2]), String(words[3]))
        endpoint = "http\(identity == nil ? "" : "s")://127.0.0.1:\(port)"
        try writeCredentials()
    }

    /// `secret`: another than the right one.
    package func writeCredentials(secret: String? = nil) throws {
        try "aws_access_key_id = \(accessKey)\naws_secret_access_key = \(secret ?? secretKey)\n"
            .write(toFile: credentialsPath, atomically: true, encoding: .utf8)
    }

    /// Makes the next `count` requests that the fault is about go wrong.
    package func make(_ fault: String, count: Int = 1) async throws {
        try process.write(Array("\(fault) \(count)\n".utf8))
        try await process.waitForLine(containing: "set \(fault) \(count)")
    }
}
