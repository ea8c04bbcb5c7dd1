import NIOCore

/// An IPv4 or IPv6 address as certificates carry it: 4 or 16 bytes.
struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    init?(_ text: String) {
        guard let packed = try? NIOCore.SocketAddress(ipAddress: text, port: 0), !text.contains("%") else { return nil }
        switch packed {
        case .v4: bytes = text.split(separator: ".").compactMap { UInt8($0) }
        case .v6: bytes = Self.parseIPv6(text) ?? []
        case .unixDomainSocket: return nil
        }
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
    }

    var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }

    var description: String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        // RFC 5952: the longest run of zero groups, at least two, becomes `::`.
        var best = 0..<0
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start) + 1
        }
        let text = groups.map { String($0, radix: 16) }
        if best.isEmpty { return text.joined(separator: ":") }
        return text[..<best.lowerBound].joined(separator: ":") + "::" + text[best.upperBound...].joined(separator: ":")
    }

    /// What NIO accepted is well formed; this only expands it.
    private static func parseIPv6(_ text: String) -> [UInt8]? {
        let halves = text.replacing("::", with: "|").split(separator: "|", omittingEmptySubsequences: false)
        let sides = halves.map { half in half.split(separator: ":").flatMap(groupBytes) }
        switch sides.count {
        case 1: return sides[0]
        case 2 where sides[0].count + sides[1].count <= 16:
            return sides[0] + [UInt8](repeating: 0, count: 16 - sides[0].count - sides[1].count) + sides[1]
        default: return nil
        }
    }

    private static func groupBytes(_ group: Substring) -> [UInt8] {
        if group.contains(".") { return group.split(separator: ".").compactMap { UInt8($0) } }
        let value = UInt16(group, radix: 16) ?? 0
        return [UInt8(value >> 8), UInt8(value & 0xFF)]
    }
}
