import IO
import OpenSSL

extension ProxyHeader {
    /// Why bytes are no header, as the end of a sentence about it.
    struct Mistake: Error, Equatable, Sendable {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }

    /// How long the header is that begins with these `prefixLength` bytes.
    static func length(of prefix: [UInt8]) throws(Mistake) -> Int {
        guard prefix.count == prefixLength, prefix.starts(with: signature) else { throw Mistake("has no signature") }
        guard prefix[12] >> 4 == 2 else { throw Mistake("is of version \(prefix[12] >> 4), not 2") }
        guard [Command.local, Command.proxy].contains(prefix[12]) else {
            throw Mistake("has the unknown command \(prefix[12] & 0x0F)")
        }
        let length = prefixLength + Int(number(prefix[14...15]))
        guard length <= longest else { throw Mistake("has \(length) bytes, more than \(longest)") }
        return length
    }

    /// A whole header and nothing else. Of one that speaks for nobody everything else is ignored, as it must be.
    init(decoding bytes: [UInt8]) throws(Mistake) {
        let length = try Self.length(of: Array(bytes.prefix(Self.prefixLength)))
        guard bytes.count == length else { throw Mistake("has \(bytes.count) bytes and says \(length)") }
        guard bytes[12] == Command.proxy else {
            self.init(origin: .local)
            return
        }
        var rest = bytes[Self.prefixLength...]
        let (client, server) = try Self.addresses(bytes[13], &rest)
        let fields = try Self.fields(in: rest)
        let sums = fields.filter { $0.type == FieldType.checksum }
        if !sums.isEmpty { try Self.check(bytes, bodyStart: rest.startIndex, sums) }
        let identifier = fields.first { $0.type == FieldType.uniqueIdentifier }
        guard identifier.map({ $0.value.count <= Self.uniqueIdentifierLimit }) ?? true else {
            throw Mistake("has a unique identifier of more than \(Self.uniqueIdentifierLimit) bytes")
        }
        self.init(
            origin: .client(client, at: server), fields: fields.filter { $0.type != FieldType.checksum })
    }

    /// All of the bytes, also those within a field that holds fields.
    static func fields(in bytes: ArraySlice<UInt8>) throws(Mistake) -> [Field] {
        var fields: [Field] = []
        var rest = bytes
        while !rest.isEmpty {
            guard rest.count >= 3 else { throw Mistake("ends within a field") }
            let length = Int(number(rest.dropFirst().prefix(2)))
            let value = rest.dropFirst(3).prefix(length)
            guard value.count == length else { throw Mistake("ends within a field") }
            fields.append(Field(rest[rest.startIndex], Array(value)))
            rest = rest.dropFirst(3 + length)
        }
        return fields
    }

    /// Over all bytes, with the checksum's own as zeros.
    private static func check(_ bytes: [UInt8], bodyStart: Int, _ sums: [Field]) throws(Mistake) {
        guard sums.count == 1, sums[0].value.count == 4 else { throw Mistake("has no single checksum of 4 bytes") }
        var start = bodyStart
        while bytes[start] != FieldType.checksum { start += 3 + Int(number(bytes[(start + 1)...(start + 2)])) }
        var cleared = bytes
        cleared.replaceSubrange((start + 3)..<(start + 7), with: [0, 0, 0, 0])
        guard bigEndian(Digest.crc32c(cleared)) == sums[0].value else { throw Mistake("does not have its checksum") }
    }

    /// Takes them off `rest`.
    private static func addresses(
        _ family: UInt8, _ rest: inout ArraySlice<UInt8>
    ) throws(Mistake) -> (client: SocketAddress, server: SocketAddress) {
        let size: Int
        switch family {
        case Family.tcp4: size = 4
        case Family.tcp6: size = 16
        case Family.unixStream: size = Family.pathLength
        case Family.unspecified: throw Mistake("speaks for a client without saying which")
        default: throw Mistake("has the family \(family >> 4) with the transport \(family & 0x0F)")
        }
        let portsLength = family == Family.unixStream ? 0 : 4
        let block = Array(rest.prefix(2 * size + portsLength))
        guard block.count == 2 * size + portsLength else { throw Mistake("ends within its addresses") }
        rest = rest.dropFirst(block.count)
        let (source, destination) = (block[..<size], block[size..<(2 * size)])
        if family == Family.unixStream { return (.unix(path: try path(source)), .unix(path: try path(destination))) }
        return (
            address(source, number(block[(2 * size)..<(2 * size + 2)])),
            address(destination, number(block[(2 * size + 2)...]))
        )
    }

    /// An IPv4 address in IPv6 is IPv4 from here on, so that limits and rules of one hold for the other.
    private static func address(_ bytes: ArraySlice<UInt8>, _ port: UInt16) -> SocketAddress {
        if bytes.count == 4 { return .ipv4(Array(bytes), port: port) }
        let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes.dropFirst(10).prefix(2) == [0xFF, 0xFF]
        return isMapped ? .ipv4(Array(bytes.suffix(4)), port: port) : .ipv6(Array(bytes), port: port)
    }

    /// What follows the first zero is padding; a client that has bound no path has none.
    private static func path(_ bytes: ArraySlice<UInt8>) throws(Mistake) -> String {
        let path = bytes.prefix { $0 != 0 }
        guard path.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Mistake("has a path with characters that do not belong in it")
        }
        return String(decoding: path, as: UTF8.self)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt16 { bytes.reduce(0) { $0 << 8 | UInt16($1) } }
}
