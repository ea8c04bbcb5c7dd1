import CLinux
import Glibc

/// The process at the other end of a unix socket when it connected (SO_PEERCRED, unix(7)). Its pid may be another's
/// by now.
package struct PeerCredentials: Sendable, Equatable {
    package let user: UInt32
    package let group: UInt32
    package let process: Int32

    init(of raw: Int32) throws(IOError) {
        var credentials = CLinux_credentials()
        guard CLinux_peer(raw, &credentials) == 0 else { throw IOError("read the peer's credentials") }
        user = credentials.uid
        group = credentials.gid
        process = credentials.pid
    }
}

/// One message; the descriptor that came with it is closed unless it is taken.
package struct ReceivedMessage: ~Copyable {
    package let bytes: [UInt8]
    private var descriptor: Descriptor?

    init(bytes: [UInt8], descriptor: consuming Descriptor?) {
        self.bytes = bytes
        self.descriptor = descriptor
    }

    package mutating func takeDescriptor() -> Descriptor? { descriptor.take() }
}

/// Both ends of a connection without a name: one for this process, one for a child of it.
package struct SeqPacketPair: ~Copyable {
    package let near: SeqPacketSocket
    package let far: SeqPacketSocket

    init(near: consuming SeqPacketSocket, far: consuming SeqPacketSocket) {
        self.near = near
        self.far = far
    }

    /// Ends the far one of this process.
    package consuming func takeNear() -> SeqPacketSocket { near }
}

/// A unix socket that keeps the borders of messages and passes a descriptor with one (SOCK_SEQPACKET, SCM_RIGHTS).
package struct SeqPacketSocket: ~Copyable, Sendable {
    private let descriptor: Descriptor

    package init(owning raw: Int32) { descriptor = Descriptor(owning: raw) }

    package var rawValue: Int32 { descriptor.rawValue }

    private static let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
    private static let nonBlocking = Int32(SOCK_NONBLOCK.rawValue)

    /// Non-blocking. Replaces a socket file that nobody answers on. `group`: a name; nil leaves the group of the
    /// process.
    package static func listen(
        at path: String, mode: UInt32, group: String? = nil, backlog: Int32 = 16
    ) throws(IOError) -> SeqPacketSocket {
        let operation = "listen on unix:\(path)"
        let address = SocketAddress.unix(path: path)
        guard path.utf8.count <= SocketAddress.pathLimit else { throw IOError(operation, code: ENAMETOOLONG) }
        let new = try make(operation, type | nonBlocking)
        if address.withPointer({ bind(new.rawValue, $0, $1) }) != 0 {
            guard errno == EADDRINUSE else { throw IOError(operation) }
            let probe = try make(operation, type | nonBlocking)
            let answer = address.withPointer { Glibc.connect(probe.rawValue, $0, $1) }
            guard answer != 0, errno == ECONNREFUSED else { throw IOError(operation, code: EADDRINUSE) }
            // A mistyped path must not cost somebody's file: connecting to that is refused, too.
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
                throw IOError(operation, code: EADDRINUSE)
            }
            unlink(path)
            guard address.withPointer({ bind(new.rawValue, $0, $1) }) == 0 else { throw IOError(operation) }
        }
        // Nobody can connect before listen(2).
        if let group { try Files.setGroup(of: path, to: group) }
        guard chmod(path, mode) == 0 else { throw IOError("set the mode of \(path)") }
        guard Glibc.listen(new.rawValue, backlog) == 0 else { throw IOError(operation) }
        return new
    }

    /// A blocking connection.
    package static func connect(to path: String) throws(IOError) -> SeqPacketSocket {
        let new = try make("connect to unix:\(path)", type)
        let outcome = SocketAddress.unix(path: path).withPointer { target, length in
            retrying { Glibc.connect(new.rawValue, target, length) }
        }
        guard outcome == 0 else { throw IOError("connect to unix:\(path)") }
        return new
    }

    /// Two ends of one connection, both blocking.
    package static func pair() throws(IOError) -> SeqPacketPair {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw IOError("make a pair of sockets") }
        return SeqPacketPair(near: SeqPacketSocket(owning: ends[0]), far: SeqPacketSocket(owning: ends[1]))
    }

    private static func make(_ operation: String, _ type: Int32) throws(IOError) -> SeqPacketSocket {
        let raw = socket(AF_UNIX, type, 0)
        guard raw >= 0 else { throw IOError(operation) }
        return SeqPacketSocket(owning: raw)
    }

    /// nil if nobody waits. The new socket is blocking unless `isBlocking` is false.
    package borrowing func accept(isBlocking: Bool = true) throws(IOError) -> SeqPacketSocket? {
        let raw = retrying { CLinux_accept(rawValue, nil, nil) }
        guard raw >= 0 else {
            if errno == EAGAIN || errno == ECONNABORTED { return nil }
            throw IOError("accept")
        }
        if isBlocking { _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK) }
        return SeqPacketSocket(owning: raw)
    }

    /// One message, and with it a descriptor, which stays the caller's too.
    package borrowing func send(_ message: [UInt8], descriptor: borrowing Descriptor) throws(IOError) {
        try send(message, raw: descriptor.rawValue)
    }

    package borrowing func send(_ message: [UInt8]) throws(IOError) { try send(message, raw: -1) }

    private borrowing func send(_ message: [UInt8], raw: Int32) throws(IOError) {
        let sent = message.withUnsafeBytes { bytes in
            retrying { CLinux_send(rawValue, bytes.baseAddress, bytes.count, raw) }
        }
        guard sent >= 0 else { throw IOError("send a message") }
    }

    /// The next message and the descriptor that came with it; no bytes at the end. Longer ones than `limit` throw
    /// EMSGSIZE.
    package borrowing func receive(limit: Int) throws(IOError) -> ReceivedMessage {
        var bytes = [UInt8](repeating: 0, count: limit)
        var raw: Int32 = -1
        let count = bytes.withUnsafeMutableBytes { space in
            retrying { CLinux_receive(rawValue, space.baseAddress, space.count, &raw) }
        }
        guard count >= 0 else { throw IOError("receive a message") }
        bytes.removeLast(limit - count)
        return ReceivedMessage(bytes: bytes, descriptor: raw >= 0 ? Descriptor(owning: raw) : nil)
    }

    /// Blocks until there is a message, or the end of the connection. False: not within `limit`.
    package borrowing func awaitMessage(within limit: Duration) -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            var entry = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
            // Rounded up: a wait of no milliseconds would be a loop.
            let found = poll(&entry, 1, Int32(max(0, (left.seconds * 1000).rounded(.up))))
            if found > 0 { return true }
            if found == 0, left <= .zero { return false }
            if found < 0, errno != EINTR { return true }
        }
    }

    package borrowing func peerCredentials() throws(IOError) -> PeerCredentials { try PeerCredentials(of: rawValue) }

    /// Ends both directions, so that a blocked `receive` returns.
    package borrowing func shutdown() { _ = Glibc.shutdown(rawValue, Int32(SHUT_RDWR)) }
}
