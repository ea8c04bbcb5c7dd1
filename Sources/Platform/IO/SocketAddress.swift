import CLinux
import Glibc

/// Where a socket listens or connects to.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    case ipv4([UInt8], port: UInt16)
    case ipv6([UInt8], port: UInt16)
    case unix(path: String)

    /// Longer paths do not fit in `sockaddr_un` (unix(7)).
    package static let pathLimit = 107

    /// `127.0.0.1:5432`, `[::1]:5432` or `unix:/path`. Literal addresses only: `resolve` takes names.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), path.utf8.count <= Self.pathLimit, !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
            return
        }
        guard let (host, port) = Self.split(text) else { return nil }
        if let bytes = Self.parse(host, AF_INET, count: 4), !text.hasPrefix("[") {
            self = .ipv4(bytes, port: port)
        } else if let bytes = Self.parse(host, AF_INET6, count: 16), text.hasPrefix("[") {
            self = .ipv6(bytes, port: port)
        } else {
            return nil
        }
    }

    /// All addresses of a host name and port, in the resolver's order; blocks, so for start-up only.
    package static func resolve(_ text: String) throws(IOError) -> [SocketAddress] {
        if let literal = SocketAddress(text) { return [literal] }
        guard let (host, port) = split(text) else { throw IOError("resolve \(text)", code: EINVAL) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let outcome = getaddrinfo(host, String(port), &hints, &list)
        guard outcome == 0, let first = list else {
            throw IOError("resolve \(host)", code: ENOENT, words: String(cString: gai_strerror(outcome)))
        }
        defer { freeaddrinfo(first) }
        var found: [SocketAddress] = []
        var next: UnsafeMutablePointer<addrinfo>? = first
        while let entry = next {
            if let address = entry.pointee.ai_addr, let parsed = SocketAddress(address) { found.append(parsed) }
            next = entry.pointee.ai_next
        }
        guard !found.isEmpty else { throw IOError("resolve \(host)", code: EAFNOSUPPORT) }
        return found
    }

    package var description: String {
        switch self {
        case .ipv4(_, let port): "\(host ?? ""):\(port)"
        case .ipv6(_, let port): "[\(host ?? "")]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The address without its port; nil for a unix socket.
    package var host: String? {
        switch self {
        case .ipv4(let bytes, _): Self.text(bytes, AF_INET)
        case .ipv6(let bytes, _): Self.text(bytes, AF_INET6)
        case .unix: nil
        }
    }

    /// Of 4 or 16 bytes.
    package static func host(_ bytes: [UInt8]) -> String? {
        (bytes.count == 4 ? SocketAddress.ipv4(bytes, port: 0) : .ipv6(bytes, port: 0)).host
    }

    package var port: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port): port
        case .unix: nil
        }
    }

    /// Whether no other machine reaches it. IPv4's may come in IPv6's clothes (RFC 4291 §2.5.5.2).
    package var isLoopback: Bool {
        switch self {
        case .ipv4(let bytes, _): bytes.first == 127
        case .ipv6(let bytes, _):
            bytes == [UInt8](repeating: 0, count: 15) + [1]
                || bytes.starts(with: [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 127])
        case .unix: true
        }
    }

    var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    private static func split(_ text: String) -> (host: String, port: UInt16)? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : (String(host), port)
    }

    private static func parse(_ host: String, _ family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, host, &bytes) == 1 ? bytes : nil
    }

    private static func text(_ bytes: [UInt8], _ family: Int32) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return nil }
        return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
    }
}

extension SocketAddress {
    /// From what the kernel or the resolver wrote; nil for other families.
    init?(_ address: UnsafePointer<sockaddr>) {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            let v4 = raw.loadUnaligned(as: sockaddr_in.self)
            self = .ipv4(withUnsafeBytes(of: v4.sin_addr) { Array($0) }, port: UInt16(bigEndian: v4.sin_port))
        case AF_INET6:
            let v6 = raw.loadUnaligned(as: sockaddr_in6.self)
            self = .ipv6(withUnsafeBytes(of: v6.sin6_addr) { Array($0) }, port: UInt16(bigEndian: v6.sin6_port))
        case AF_UNIX:
            self = .unix(path: "")
        default:
            return nil
        }
    }

    /// Where a socket is bound; nil for other families.
    init?(localOf raw: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let address = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(raw, address, &length) == 0 ? SocketAddress(address) : nil
            }
        }
        guard let address else { return nil }
        self = address
    }

    /// Calls `body` with the address in the kernel's form.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch self {
        case .ipv4(let bytes, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: bytes.prefix(4)) }
            return Self.call(body, with: &address)
        case .ipv6(let bytes, let port):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes.prefix(16)) }
            return Self.call(body, with: &address)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(Self.pathLimit)) }
            return Self.call(body, with: &address)
        }
    }

    private static func call<Address, Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result, with address: inout Address
    ) -> Result {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }
}
