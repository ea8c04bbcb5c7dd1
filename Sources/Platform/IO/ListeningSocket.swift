import CLinux
import Glibc

package enum AcceptOutcome: ~Copyable {
    case accepted(StreamSocket, SocketAddress)
    case wouldBlock
    /// No descriptor or no memory is left (EMFILE, ENFILE, ENOBUFS, ENOMEM): the connection still waits in the
    /// backlog, so accepting again at once would spin.
    case exhausted(IOError)
    /// The peer was gone before it was accepted, or the like: accept the next.
    case failed(IOError)
}

/// A bound, listening, non-blocking socket.
package struct ListeningSocket: ~Copyable, Sendable {
    private let descriptor: Descriptor
    /// With the real port where port 0 was asked for.
    package let address: SocketAddress

    package var rawValue: Int32 { descriptor.rawValue }

    /// `mode`: permissions of a unix socket's file. A file that is left there and that nobody answers on is replaced.
    package init(_ address: SocketAddress, backlog: Int32 = 4096, mode: UInt32? = nil) throws(IOError) {
        descriptor = try Self.listen(address, backlog, mode)
        self.address = Self.boundAddress(descriptor.rawValue) ?? address
    }

    /// Takes over a socket that listens already; see `listens`.
    package init(adopting raw: Int32, _ address: SocketAddress) {
        _ = fcntl(raw, F_SETFD, FD_CLOEXEC)
        _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
        descriptor = Descriptor(owning: raw)
        self.address = Self.boundAddress(raw) ?? address
    }

    /// Whether the descriptor is a socket that listens on this address; on any port, if that is 0; at a path only if
    /// a socket's file is still there.
    package static func listens(_ raw: Int32, on address: SocketAddress) -> Bool {
        var isListening: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(raw, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0, isListening == 1 else {
            return false
        }
        if case .unix(let path) = address { return boundPath(raw) == path && isSocket(path) }
        switch (boundAddress(raw), address) {
        case (.ipv4(let bound, let port), .ipv4(let wanted, let wantedPort)),
            (.ipv6(let bound, let port), .ipv6(let wanted, let wantedPort)):
            return bound == wanted && (wantedPort == 0 || port == wantedPort)
        default: return false
        }
    }

    private static func listen(
        _ address: SocketAddress, _ backlog: Int32, _ mode: UInt32?
    ) throws(IOError) -> Descriptor {
        let operation = "listen on \(address)"
        let raw = socket(address.family, streamType, 0)
        guard raw >= 0 else { throw IOError(operation) }
        let new = Descriptor(owning: raw)
        if case .unix(let path) = address { try removeStale(path) } else { setOption(raw, SOL_SOCKET, SO_REUSEADDR, 1) }
        if case .ipv6 = address { setOption(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        guard address.withPointer({ bind(raw, $0, $1) }) == 0 else { throw IOError(operation) }
        if let mode { try setMode(mode, of: address) }
        guard Glibc.listen(raw, backlog) == 0 else { throw IOError(operation) }
        return new
    }

    /// What is accepted sends at once and finds peers that vanished: on Linux it inherits the options of the port it
    /// came through (inet_csk_clone_lock), which spares five calls for each.
    package borrowing func prepareConnections() {
        if case .unix = address { return }
        setNoDelay(rawValue)
        setKeepAlive(rawValue)
    }

    /// Permissions of a unix socket's file; of another there is none.
    package borrowing func setMode(_ mode: UInt32) throws(IOError) { try Self.setMode(mode, of: address) }

    private static func setMode(_ mode: UInt32, of address: SocketAddress) throws(IOError) {
        guard case .unix(let path) = address, chmod(path, mode) != 0 else { return }
        throw IOError("set the mode of \(path)")
    }

    package borrowing func accept() -> AcceptOutcome {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let (raw, peer) = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                (retrying { CLinux_accept(rawValue, address, &length) }, SocketAddress(address))
            }
        }
        if raw >= 0 { return .accepted(StreamSocket(owning: raw), peer ?? .unix(path: "")) }
        switch errno {
        case EAGAIN: return .wouldBlock
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(IOError("accept on \(address)"))
        default: return .failed(IOError("accept on \(address)"))
        }
    }

    private static func boundAddress(_ raw: Int32) -> SocketAddress? {
        if case .unix = SocketAddress(localOf: raw) { nil } else { SocketAddress(localOf: raw) }
    }

    /// nil unless it is a unix socket that is bound to a path.
    private static func boundPath(_ raw: Int32) -> String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(raw, $0, &length) }
        }
        guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
        return withUnsafeBytes(of: address.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// A socket file outlives its process; one that still answers belongs to somebody.
    private static func removeStale(_ path: String) throws(IOError) {
        guard isSocket(path) else { return }
        let probe = socket(AF_UNIX, streamType, 0)
        guard probe >= 0 else { throw IOError("listen on unix:\(path)") }
        defer { close(probe) }
        let answer = SocketAddress.unix(path: path).withPointer { connect(probe, $0, $1) }
        if answer == 0 || errno == EAGAIN { throw IOError("listen on unix:\(path)", code: EADDRINUSE) }
        unlink(path)
    }
}

let streamType = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

func setNoDelay(_ raw: Int32) { setOption(raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

/// Finds peers that vanished: after `idle` seconds of silence, every `interval` seconds, `count` times.
func setKeepAlive(_ raw: Int32, idle: Int32 = 60, interval: Int32 = 15, count: Int32 = 4) {
    setOption(raw, SOL_SOCKET, SO_KEEPALIVE, 1)
    setOption(raw, Int32(IPPROTO_TCP), TCP_KEEPIDLE, idle)
    setOption(raw, Int32(IPPROTO_TCP), TCP_KEEPINTVL, interval)
    setOption(raw, Int32(IPPROTO_TCP), TCP_KEEPCNT, count)
}

@discardableResult
func setOption(_ raw: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
    var value = value
    return setsockopt(raw, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
}
