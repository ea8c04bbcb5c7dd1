import Foundation
import IO
import TestSupport

@testable import Proxy

/// A plain blocking TCP socket with a deadline on every call; closed with its last reference.
final class TestSocket: Sendable {
    let raw: Int32

    init(adopting raw: Int32) {
        self.raw = raw
        var limit = timeval(tv_sec: 15, tv_usec: 0)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    /// `source`: any of 127.0.0.0/8.
    convenience init(port: UInt16, from source: [UInt8]? = nil, receiveBuffer: Int32? = nil) throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw TestSupportError("socket") }
        if var size = receiveBuffer {
            setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        func address(_ host: [UInt8], _ port: UInt16) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = host.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.bigEndian
            return address
        }
        func call(_ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        let isBound = source.map { call(address($0, 0)) { bind(raw, $0, $1) } == 0 } ?? true
        guard isBound, call(address([127, 0, 0, 1], port), { connect(raw, $0, $1) }) == 0 else {
            close(raw)
            throw TestSupportError("connect to port \(port): \(String(cString: strerror(errno)))")
        }
        self.init(adopting: raw)
    }

    convenience init(path: String) throws {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw TestSupportError("socket") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            close(raw)
            throw TestSupportError("connect to \(path): \(String(cString: strerror(errno)))")
        }
        self.init(adopting: raw)
    }

    deinit { close(raw) }

    func send(_ bytes: [UInt8]) throws {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw TestSupportError("send: \(String(cString: strerror(errno)))") }
            start += count
        }
    }

    /// Up to so many bytes; empty at the end. Throws on a reset or after the deadline.
    func receive(_ limit: Int = 64 << 10) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = recv(raw, &bytes, limit, 0)
        guard count >= 0 else { throw TestSupportError("receive: \(String(cString: strerror(errno)))") }
        return Array(bytes[..<count])
    }

    /// Of the other end, which must be at IPv4.
    var peerAddress: String? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let outcome = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(raw, $0, &length) }
        }
        guard outcome == 0 else { return nil }
        let bytes = withUnsafeBytes(of: address.sin_addr) { Array($0) }
        return SocketAddress.ipv4(bytes, port: UInt16(bigEndian: address.sin_port)).description
    }

    /// Exactly so many.
    func take(_ count: Int) throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count {
            let piece = try receive(count - all.count)
            if piece.isEmpty { throw TestSupportError("ended after \(all.count) bytes of \(count)") }
            all += piece
        }
        return all
    }

    /// What must come first, and nothing of what follows it.
    func takeProxyHeader() throws -> ProxyHeader {
        let prefix = try take(ProxyHeader.prefixLength)
        return try ProxyHeader(decoding: prefix + take(try ProxyHeader.length(of: prefix) - prefix.count))
    }

    func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try receive()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    /// For the other side of a session that lasts.
    func waitsForLong() {
        var limit = timeval(tv_sec: 600, tv_usec: 0)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func endWriting() { shutdown(raw, Int32(SHUT_WR)) }

    /// The close that follows sends RST.
    func resetOnClose() {
        var off = linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &off, socklen_t(MemoryLayout<linger>.size))
    }
}
