import Testing

@testable import Proxy

@Suite struct `A refusal` {
    @Test func `is an error line for Redis, once the client has asked`() {
        #expect(DatabaseProtocol.redis.refusal(.backendDown, to: []) == .needsMore)
        guard case .say(let bytes) = DatabaseProtocol.redis.refusal(.notAllowed("no rule"), to: [0x2A]) else {
            Issue.record("nothing was said")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasPrefix("-NOPERM ") && text.hasSuffix("\r\n"))
        #expect(
            DatabaseProtocol.redis.refusal(.tooManyConnections, to: [0x2A])
                == .say(Array("-ERR max number of clients reached\r\n".utf8)))
    }

    @Test func `is an ERROR frame in the request's version and for its stream`() {
        let request: [UInt8] = [0x05, 0x00, 0x12, 0x34, 0x05, 0, 0, 0, 0]
        for count in 0..<4 {
            #expect(DatabaseProtocol.cassandra.refusal(.backendDown, to: Array(request[..<count])) == .needsMore)
        }
        guard case .say(let frame) = DatabaseProtocol.cassandra.refusal(.backendDown, to: request) else {
            Issue.record("nothing was said")
            return
        }
        #expect(Array(frame[..<5]) == [0x85, 0x00, 0x12, 0x34, 0x00])
        let length = frame[5..<9].reduce(0) { $0 << 8 | Int($1) }
        #expect(length == frame.count - 9)
        #expect(Array(frame[9..<13]) == [0, 0, 0x10, 0x02])
        #expect(frame[13..<15].reduce(0) { $0 << 8 | Int($1) } == frame.count - 15)
    }

    @Test func `has a one-byte stream in the oldest Cassandra versions and speaks version 4 to unknown ones`() {
        guard case .say(let old) = DatabaseProtocol.cassandra.refusal(.tooManyConnections, to: [0x02, 0, 7]),
            case .say(let unknown) = DatabaseProtocol.cassandra.refusal(.tooManyConnections, to: [0x7F])
        else {
            Issue.record("nothing was said")
            return
        }
        #expect(Array(old[..<4]) == [0x82, 0, 7, 0])
        #expect(unknown[0] == 0x84)
    }

    @Test func `is silence where the protocol is unknown`() {
        #expect(DatabaseProtocol.tcp.refusal(.backendDown, to: [1]) == .sayNothing)
    }

    @Test func `never carries a NUL into an ErrorResponse`() {
        let bytes = PostgresError.notAllowed("a\0b").bytes
        #expect(bytes[1..<5].reduce(0) { $0 << 8 | Int($1) } == bytes.count - 1)
        #expect(bytes.dropFirst(5).split(separator: 0, omittingEmptySubsequences: false).count == 7)
    }
}
