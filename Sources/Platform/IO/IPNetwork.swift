/// Addresses that share their first bits, in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`; or one address alone.
package struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16 bytes; all zeros behind the prefix.
    private let bytes: [UInt8]
    package let prefixLength: Int

    /// nil for what is no network, and for one with bits behind its prefix, which says two things.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let host = parts[0]
        guard let bytes = Self.bytes(of: SocketAddress(host.contains(":") ? "[\(host)]:0" : "\(host):0")) else {
            return nil
        }
        let bitCount = bytes.count * 8
        let digits = parts.count == 2 ? String(parts[1]) : String(bitCount)
        // Int would take a sign.
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(digits), length <= bitCount,
            Self.masked(bytes, length) == bytes
        else { return nil }
        self.bytes = bytes
        prefixLength = length
    }

    /// An IPv4 address counts as such within IPv6, too (RFC 4291 §2.5.5.2). A unix socket is in no network.
    package func contains(_ address: SocketAddress) -> Bool {
        guard let other = Self.bytes(of: address) else { return false }
        if other.count == bytes.count { return Self.masked(other, prefixLength) == bytes }
        let isMapped = other.count == 16 && other.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return isMapped && Self.masked(Array(other.suffix(4)), prefixLength) == bytes
    }

    package var description: String {
        let address: SocketAddress = bytes.count == 4 ? .ipv4(bytes, port: 0) : .ipv6(bytes, port: 0)
        return "\(address.host ?? "")/\(prefixLength)"
    }

    private static func bytes(of address: SocketAddress?) -> [UInt8]? {
        switch address {
        case .ipv4(let bytes, _), .ipv6(let bytes, _): bytes
        case .unix, nil: nil
        }
    }

    private static func masked(_ bytes: [UInt8], _ length: Int) -> [UInt8] {
        bytes.enumerated().map { index, byte in
            let kept = min(8, max(0, length - index * 8))
            return byte & ~UInt8(truncatingIfNeeded: 0xFF >> kept)
        }
    }
}
