import Foundation
import IO
import Synchronization
import TestSupport

/// A database that a test plays: a thread for each connection that the proxy opens.
final class TestBackend: Sendable {
    let port: UInt16
    private let listening: Int32
    private let accepted = Atomic<Int>(0)
    private let isStopped = Mutex(false)
    private let firstBytes = Mutex<[[UInt8]]>([])

    var address: SocketAddress { .ipv4([127, 0, 0, 1], port: port) }
    /// Connections that the proxy has opened so far.
    var count: Int { accepted.load(ordering: .relaxed) }
    /// What `note` was told.
    var noted: [[UInt8]] { firstBytes.withLock { $0 } }

    init(receiveBuffer: Int32? = nil, _ serve: @escaping @Sendable (TestSocket, TestBackend) throws -> Void) throws {
        listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listening >= 0 else { throw TestSupportError("socket") }
        if var size = receiveBuffer {
            setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let raw = listening
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(raw, generic, length) == 0 && listen(raw, 1024) == 0 ? getsockname(raw, generic, &length) : -1
            }
        }
        guard result == 0 else { throw TestSupportError("listen") }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [weak self] in
            // The thread alone closes the socket: its number may be another's right after.
            defer { close(raw) }
            while true {
                let connection = accept(raw, nil, nil)
                guard connection >= 0 else { return }
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                let socket = TestSocket(adopting: connection)
                guard let self else { return }
                accepted.wrappingAdd(1, ordering: .relaxed)
                Thread.detachNewThread { try? serve(socket, self) }
            }
        }
    }

    deinit { stop() }

    /// Refuses from now on.
    func stop() {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        if isFirst { shutdown(listening, Int32(SHUT_RDWR)) }
    }

    func note(_ bytes: [UInt8]) { firstBytes.withLock { $0.append(bytes) } }

    /// Sends back whatever comes, and ends when the client has ended.
    static func echo() throws -> TestBackend {
        try TestBackend { socket, _ in
            while true {
                let bytes = try socket.receive()
                if bytes.isEmpty { return }
                try socket.send(bytes)
            }
        }
    }
}
