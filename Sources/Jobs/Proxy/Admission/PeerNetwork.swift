import IO

/// A block of addresses, as limits count them and operators write them: `203.0.113.0/24`.
package struct PeerNetwork: Hashable, Sendable, CustomStringConvertible {
    private enum Family: Sendable {
        case unix, ipv4, ipv6

        var width: Int {
            switch self {
            case .unix: 0
            case .ipv4: 32
            case .ipv6: 128
            }
        }
    }

    private let family: Family
    private let length: Int
    /// The address, from the top; 0 behind the length.
    private let bits: UInt128

    private init(_ family: Family, _ bits: UInt128, length: Int) {
        self.family = family
        self.length = length
        self.bits = bits & UInt128.max << (128 - length)
    }

    private init(bytes: [UInt8], length: Int? = nil) {
        let bits = bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) } << (128 - 8 * bytes.count)
        self.init(bytes.count == 4 ? .ipv4 : .ipv6, bits, length: length ?? 8 * bytes.count)
    }

    /// One client, as limits count it: an IPv4 address, or an IPv6 network of 64 bits, which one host can fill alone.
    package init(_ address: SocketAddress) {
        let exact = PeerNetwork(exactly: address)
        self.init(exact.family, exact.bits, length: min(64, exact.length))
    }

    /// The one address. An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2) is what it is.
    package init(exactly address: SocketAddress) {
        switch address {
        case .ipv4(let bytes, _): self.init(bytes: bytes)
        case .ipv6(let bytes, _): self.init(bytes: Self.isMapped(bytes) ? Array(bytes[12...]) : bytes)
        case .unix: self.init(.unix, 0, length: 0)
        }
    }

    /// `ADDRESS` or `ADDRESS/LENGTH`; nil if it is neither, or has bits behind its length.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let bytes = PeerAttributes.addressBytes(String(first)) else { return nil }
        let isMapped = Self.isMapped(bytes)
        let address = PeerNetwork(bytes: isMapped ? Array(bytes[12...]) : bytes)
        guard parts.count == 2 else {
            self = address
            return
        }
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(parts[1]),
            (isMapped ? 96...128 : 0...address.family.width).contains(number)
        else { return nil }
        let network = PeerNetwork(address.family, address.bits, length: isMapped ? number - 96 : number)
        guard network.bits == address.bits else { return nil }
        self = network
    }

    private static func isMapped(_ bytes: [UInt8]) -> Bool {
        bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    }

    /// What one customer of a provider usually has: 24 bits of IPv4, 48 of IPv6 (RFC 6177).
    var prefix: PeerNetwork { PeerNetwork(family, bits, length: min(length, family == .ipv4 ? 24 : 48)) }

    /// Of all addresses of its family.
    package var isOfEverybody: Bool { length == 0 }

    package func overlaps(_ other: PeerNetwork) -> Bool { contains(other) || other.contains(self) }

    package func contains(_ other: PeerNetwork) -> Bool {
        family == other.family && length <= other.length
            && bits == other.bits & UInt128.max << (128 - length)
    }

    package var description: String {
        let bytes = stride(from: 120, through: 128 - family.width, by: -8).map { UInt8(truncatingIfNeeded: bits >> $0) }
        switch family {
        case .unix: return "unix"
        case .ipv4: return "\(SocketAddress.ipv4(bytes, port: 0).host ?? "")/\(length)"
        case .ipv6: return "\(SocketAddress.ipv6(bytes, port: 0).host ?? "")/\(length)"
        }
    }
}
