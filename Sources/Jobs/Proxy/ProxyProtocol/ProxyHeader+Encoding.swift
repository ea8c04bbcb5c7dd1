import IO
import OpenSSL

extension ProxyHeader {
    /// As it is sent; with a checksum where there is a client. A field that would make it longer than `longest` is left
    /// out: a length of 16 bits that overflows would put the rest of the header before the client's first byte.
    var bytes: [UInt8] {
        guard case .client(let client, let server) = origin else {
            return Self.signature + [Command.local, Family.unspecified, 0, 0]
        }
        let (family, addresses) = Self.block(client, server)
        var body = addresses
        for field in fields {
            let added = field.bytes
            if Self.prefixLength + body.count + added.count + Self.checksumLength <= Self.longest { body += added }
        }
        body += Field(FieldType.checksum, [0, 0, 0, 0]).bytes
        var all = Self.signature + [Command.proxy, family] + UInt16(body.count).twoBytes + body
        all.replaceSubrange((all.count - 4)..., with: bigEndian(Digest.crc32c(all)))
        return all
    }

    private static let checksumLength = 7

    /// IPv4 beside IPv6 is written as IPv6; of a pair that no family has, nothing is said.
    private static func block(_ client: SocketAddress, _ server: SocketAddress) -> (family: UInt8, [UInt8]) {
        switch (client, server) {
        case (.ipv4(let source, let port), .ipv4(let destination, let serverPort)):
            return (Family.tcp4, source + destination + port.twoBytes + serverPort.twoBytes)
        case (.unix(let source), .unix(let destination)):
            return (Family.unixStream, padded(source) + padded(destination))
        default:
            guard let (source, port) = mapped(client), let (destination, serverPort) = mapped(server) else {
                return (Family.unspecified, [])
            }
            return (Family.tcp6, source + destination + port.twoBytes + serverPort.twoBytes)
        }
    }

    private static func mapped(_ address: SocketAddress) -> ([UInt8], UInt16)? {
        switch address {
        // RFC 4291 §2.5.5.2.
        case .ipv4(let bytes, let port): ([UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + bytes, port)
        case .ipv6(let bytes, let port): (bytes, port)
        case .unix: nil
        }
    }

    private static func padded(_ path: String) -> [UInt8] {
        let bytes = Array(path.utf8.prefix(Family.pathLength))
        return bytes + [UInt8](repeating: 0, count: Family.pathLength - bytes.count)
    }
}

extension ProxyHeader.Field {
    /// Empty where the value is too long for its length.
    var bytes: [UInt8] { UInt16(exactly: value.count).map { [type] + $0.twoBytes + value } ?? [] }
}

extension UInt16 {
    /// In the network's order.
    fileprivate var twoBytes: [UInt8] { [UInt8(truncatingIfNeeded: self >> 8), UInt8(truncatingIfNeeded: self)] }
}
