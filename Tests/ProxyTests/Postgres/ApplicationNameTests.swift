import Testing

@testable import Proxy

@Suite struct `An application name with the client's address` {
    private static let address = "192.0.2.1:5555"

    private static func message(_ parameters: [(String, String)]) throws -> StartupMessage {
        var body: [UInt8] = []
        for (key, value) in parameters { body += Array("\(key)\0\(value)\0".utf8) }
        body.append(0)
        return try #require(StartupMessage(packet: bigEndian(UInt32(8 + body.count)) + [0, 3, 0, 2] + body))
    }

    /// What a server reads of it, in order.
    private static func parameters(_ packet: [UInt8]) throws -> [String] {
        #expect(packet.prefix(4) == bigEndian(UInt32(packet.count))[...] && packet[4..<8] == [0, 3, 0, 2])
        #expect(StartupMessage(packet: packet) != nil)
        return packet[8...].dropLast(2).split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    private static func named(_ parameters: [(String, String)], _ address: String = address) throws -> [String] {
        try self.parameters(try message(parameters).packet(naming: address))
    }

    @Test func `ends with it, and everything else is as it was`() throws {
        let named = try Self.named([("user", "shop"), ("application_name", "psql"), ("options", ""), ("x", "y")])
        #expect(named == ["user", "shop", "options", "", "x", "y", "application_name", "psql - 192.0.2.1:5555"])
    }

    @Test func `is added where there is none`() throws {
        #expect(try Self.named([("user", "a")]) == ["user", "a", "application_name", "app - 192.0.2.1:5555"])
        let empty = try Self.named([("application_name", ""), ("user", "a")])
        #expect(empty == ["user", "a", "application_name", "app - 192.0.2.1:5555"])
        let none = try #require(StartupMessage(packet: [0, 0, 0, 9, 0, 3, 0, 2, 0]))
        #expect(try Self.parameters(none.packet(naming: "a")) == ["application_name", "app - a"])
    }

    @Test func `is the one that the server would take, once`() throws {
        let named = try Self.named([("application_name", "a"), ("user", "u"), ("application_name", "b")])
        #expect(named == ["user", "u", "application_name", "b - 192.0.2.1:5555"])
    }

    @Test(arguments: ["192.0.2.1:5555", "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"])
    func `gives way to the address where both are too long for a server`(address: String) throws {
        for count in [0, 1, 12, 13, 14, 46, 47, 200] {
            let name = try #require(
                try Self.named([("user", "u"), ("application_name", String(repeating: "n", count: count))], address)
                    .last)
            #expect(name.utf8.count <= 63 && name.hasSuffix(" - \(address)"))
            #expect(name.utf8.count == min(63, max(count, count == 0 ? 3 : 0) + 3 + address.utf8.count))
        }
        // 'ä' is two bytes, which become eight characters.
        let foreign = try #require(
            try Self.named([("application_name", String(repeating: "ä", count: 40)), ("user", "u")], address).last)
        #expect(foreign.hasSuffix(" - \(address)") && 4 * (foreign.utf8.count - address.utf8.count - 3) <= 63)
    }

    @Test func `is not given to standbys, whose name is a key`() throws {
        for value in ["true", "database", "on"] {
            let message = try Self.message([("user", "u"), ("replication", value), ("application_name", "standby1")])
            #expect(message.packet(naming: Self.address) == message.packet)
        }
    }

    @Test func `makes no packet longer than a server reads`() throws {
        for count in 9850...9975 {
            let message = try Self.message([("user", "u"), ("options", String(repeating: "o", count: count))])
            let packet = message.packet(naming: Self.address)
            #expect(packet.count <= 10_000)
            #expect(packet == message.packet || packet.count == message.packet.count + 38)
        }
    }
}
