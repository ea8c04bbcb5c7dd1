import Foundation
import Synchronization

/// A new, empty folder of mode 0700 that is removed with its last reference, or when the process exits.
package final class TemporaryDirectory: Sendable, CustomStringConvertible {
    package let path: String

    package init(prefix: String = "nodeguard-test") throws {
        path = "\(NSTemporaryDirectory())\(prefix)-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        Self.remaining.withLock { _ = $0.insert(path) }
        _ = Self.cleansAtExit
    }

    deinit {
        Self.remaining.withLock { _ = $0.remove(path) }
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Folders that a `static let` of a test holds have no other end.
    private static let remaining = Mutex<Set<String>>([])
    private static let cleansAtExit =
        atexit {
            for path in TemporaryDirectory.remaining.withLock({ $0 }) {
                try? FileManager.default.removeItem(atPath: path)
            }
        } == 0

    package var description: String { path }

    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a small file and returns its path.
    @discardableResult
    package func write(_ text: String, to name: String) throws -> String {
        try write(Array(text.utf8), to: name)
    }

    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    package func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
    }
}

package func temporaryDirectory() throws -> TemporaryDirectory { try TemporaryDirectory() }
