import IO
import OpenSSL
import Testing

@testable import Proxy

@Suite struct `A PROXY header` {
    static let ipv4 = SocketAddress.ipv4([192, 0, 2, 1], port: 56_324)
    static let ipv4Server = SocketAddress.ipv4([198, 51, 100, 7], port: 5433)
    static let ipv6 = SocketAddress.ipv6([0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 7, count: 12), port: 1)
    static let ipv6Server = SocketAddress.ipv6([UInt8](repeating: 0, count: 15) + [1], port: 65_535)

    /// With a checksum that is right, unless there is none.
    static func signed(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 7, bytes.suffix(7).prefix(3) == [3, 0, 4] else { return bytes }
        let cleared = bytes.dropLast(4) + [0, 0, 0, 0]
        return Array(cleared.dropLast(4)) + bigEndian(Digest.crc32c(Array(cleared)))
    }

    @Test func `has the layout of the specification, byte by byte`() {
        let bytes = ProxyHeader(origin: .client(Self.ipv4, at: Self.ipv4Server)).bytes
        let expected: [UInt8] =
            [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, 19]
            + [192, 0, 2, 1, 198, 51, 100, 7, 0xDC, 0x04, 0x15, 0x39, 3, 0, 4]
        #expect(bytes.dropLast(4) == expected[...])
        #expect(Self.signed(bytes) == bytes)
        #expect(ProxyHeader(origin: .local).bytes == Array(expected.prefix(12)) + [0x20, 0, 0, 0])
    }

    @Test func `of IPv6 has 36 bytes of addresses, of a unix socket 216`() {
        let six = ProxyHeader(origin: .client(Self.ipv6, at: Self.ipv6Server)).bytes
        #expect(six[13] == 0x21 && six.count == 16 + 36 + 7 && Array(six[48...51]) == [0, 1, 0xFF, 0xFF])
        let unix = ProxyHeader(origin: .client(.unix(path: "/run/a"), at: .unix(path: ""))).bytes
        #expect(unix[13] == 0x31 && unix.count == 16 + 216 + 7)
        #expect(Array(unix[16..<24]) == Array("/run/a\0\0".utf8))
        #expect(unix[22..<232].allSatisfy { $0 == 0 })
        let longest = String(repeating: "x", count: 300)
        let cut = ProxyHeader(origin: .client(.unix(path: longest), at: .unix(path: longest))).bytes
        #expect(cut.count == 16 + 216 + 7)
    }

    @Test func `of IPv4 beside IPv6 is one of IPv6, and reads as IPv4 again`() throws {
        for (client, server) in [(Self.ipv4, Self.ipv6Server), (Self.ipv6, Self.ipv4Server)] {
            let bytes = ProxyHeader(origin: .client(client, at: server)).bytes
            #expect(bytes[13] == 0x21)
            #expect(try ProxyHeader(decoding: bytes).origin == .client(client, at: server))
        }
    }

    @Test func `of a pair that no family has says nothing of it`() {
        let bytes = ProxyHeader(origin: .client(.unix(path: "/a"), at: Self.ipv4Server)).bytes
        #expect(Array(bytes[12...13]) == [0x21, 0] && bytes.count == 16 + 7)
    }

    @Test(arguments: [
        (ipv4, ipv4Server), (ipv6, ipv6Server), (.unix(path: "/a"), .unix(path: "/b")),
        (.unix(path: ""), .unix(path: String(repeating: "y", count: 107))),
    ])
    func `reads as what it was made from`(client: SocketAddress, server: SocketAddress) throws {
        var header = ProxyHeader(origin: .client(client, at: server))
        #expect(try ProxyHeader(decoding: header.bytes) == header)
        header.fields = [
            .init(0x02, Array("db.example".utf8)), .init(0x05, Array("17".utf8)), .init(0xE0, []),
            .init(0x20, [7, 0, 0, 0, 0] + ProxyHeader.Field(0x22, Array("shop".utf8)).bytes),
        ]
        #expect(try ProxyHeader(decoding: header.bytes) == header)
        #expect(try ProxyHeader(decoding: ProxyHeader(origin: .local).bytes).origin == .local)
    }

    @Test(arguments: [0, 1, 250, 3000, 4054, 4059, 4096, 65_535, 65_536, 70_000])
    func `never says another length than it has, however long a field is`(count: Int) throws {
        var header = ProxyHeader(origin: .client(Self.ipv4, at: Self.ipv4Server))
        let long = ProxyHeader.Field(0x02, [UInt8](repeating: 0x41, count: count))
        header.fields = [long, .init(0x05, [1]), long]
        let bytes = header.bytes
        #expect(bytes.count <= ProxyHeader.longest)
        #expect(try ProxyHeader.length(of: Array(bytes.prefix(16))) == bytes.count)
        let read = try ProxyHeader(decoding: bytes)
        #expect(read.origin == header.origin)
        #expect(read.fields.contains(.init(0x05, [1])), "a field that fits gives way to none")
        #expect(read.fields.contains(long) == (count <= 4054))
    }

    @Test func `that was changed anywhere is refused, or says less`() throws {
        let header = ProxyHeader(origin: .client(Self.ipv4, at: Self.ipv4Server), fields: [.init(0x02, [0x61])])
        let good = header.bytes
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                guard let read = try? ProxyHeader(decoding: bytes) else { continue }
                // A checksum that is a field of another kind now, or the command LOCAL.
                #expect(read.origin == .local || index == good.count - 7, "byte \(index), bit \(bit)")
            }
        }
        for count in 0..<good.count {
            #expect(throws: ProxyHeader.Mistake.self) { try ProxyHeader(decoding: Array(good.prefix(count))) }
        }
        #expect(throws: ProxyHeader.Mistake.self) { try ProxyHeader(decoding: good + [0]) }
    }

    struct Wrong: Sendable {
        /// Everything behind the signature.
        let rest: [UInt8]
        let reason: String

        init(_ start: [UInt8], zeros: Int = 0, end: [UInt8] = [], _ reason: String) {
            rest = start + [UInt8](repeating: 0, count: zeros) + end
            self.reason = reason
        }
    }

    static let wrong = [
        Wrong([0x11, 0x11, 0, 12], "is of version 1, not 2"),
        Wrong([0x22, 0x11, 0, 12], "has the unknown command 2"),
        Wrong([0x21, 0x11, 0x0F, 0xF1], "has 4097 bytes, more than 4096"),
        Wrong([0x21, 0x00, 0, 0], "speaks for a client without saying which"),
        Wrong([0x21, 0x12, 0, 0], "has the family 1 with the transport 2"),
        Wrong([0x21, 0x32, 0, 0], "has the family 3 with the transport 2"),
        Wrong([0x21, 0x41, 0, 0], "has the family 4 with the transport 1"),
        Wrong([0x21, 0x11, 0, 11], zeros: 11, "ends within its addresses"),
        Wrong([0x21, 0x21, 0, 12], zeros: 12, "ends within its addresses"),
        Wrong([0x21, 0x31, 0, 36], zeros: 36, "ends within its addresses"),
        Wrong([0x21, 0x11, 0, 14], zeros: 14, "ends within a field"),
        Wrong([0x21, 0x11, 0, 15], zeros: 12, end: [1, 0, 1], "ends within a field"),
        Wrong([0x21, 0x11, 0, 15], zeros: 12, end: [1, 0xFF, 0xFF], "ends within a field"),
        Wrong([0x21, 0x11, 0, 19], zeros: 12, end: [3, 0, 4, 0, 0, 0, 0], "does not have its checksum"),
        Wrong([0x21, 0x11, 0, 18], zeros: 12, end: [3, 0, 3, 0, 0, 0], "has no single checksum of 4 bytes"),
        Wrong(
            [0x21, 0x11, 0, 26], zeros: 12, end: [3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0],
            "has no single checksum of 4 bytes"),
        Wrong(
            [0x21, 0x11, 0, 144], zeros: 12, end: [5, 0, 129] + [UInt8](repeating: 1, count: 129),
            "has a unique identifier of more than 128 bytes"),
        Wrong([0x21, 0x31, 0, 216, 0x2F, 0x0A], zeros: 214, "has a path with characters that do not belong in it"),
    ]

    @Test(arguments: wrong) func `that is wrong is refused with the reason`(wrong: Wrong) {
        do {
            let read = try ProxyHeader(decoding: ProxyHeader.signature + wrong.rest)
            Issue.record("it was read as \(read)")
        } catch { #expect(error.reason == wrong.reason) }
    }

    @Test func `of the command LOCAL may say whatever it likes`() throws {
        for rest: [UInt8] in [
            [0x20, 0x11, 0, 3, 1, 2, 3], [0x20, 0xFF, 0, 1, 0], [0x20, 0, 0, 7, 3, 0, 4, 0, 0, 0, 0],
        ] {
            #expect(try ProxyHeader(decoding: ProxyHeader.signature + rest) == ProxyHeader(origin: .local))
        }
    }
}
