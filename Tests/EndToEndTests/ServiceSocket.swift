import Foundation
import Synchronization

/// Where a program says how it is to its service manager (sd_notify(3)): a datagram socket at a path, emptied by a
/// thread, for a full one would hold the program up.
final class ServiceSocket: Sendable {
    struct Failure: Error {}

    let path: String
    private let descriptor: Int32
    private let messages = Messages()

    private final class Messages: Sendable {
        let all = Mutex<[String]>([])
    }

    init(at path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Failure() }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let raw = descriptor
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isBound else { throw Failure() }
        Thread.detachNewThread { [messages] in
            var space = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(raw, &space, space.count, 0)
                guard count > 0 else { break }
                let text = String(decoding: space[..<count], as: UTF8.self)
                messages.all.withLock { $0.append(text) }
            }
            close(raw)
        }
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Assignments, in the order in which they came.
    var said: [String] { messages.all.withLock { $0.flatMap { $0.split(separator: "\n").map(String.init) } } }

    func count(of assignment: String) -> Int { said.count { $0.hasPrefix(assignment) } }
}
