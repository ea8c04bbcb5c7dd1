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
            DatabaseProtocol.redis.refusal(.tooManyConnections("x"), to: [0x2A])
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

    @Test(arguments: UInt8(0)...8) func `needs of a Cassandra request its version and stream, at every cut`(
        version: UInt8
    ) throws {
        for hasDirection in [false, true] {
            let first = version | (hasDirection ? 0x80 : 0)
            // Versions 1 and 2 number their streams with one byte.
            let stream: [UInt8] = (1...2).contains(version) ? [7] : [0x12, 0x34]
            let request = [first, 0x10] + stream + [0x05, 0, 0, 0, 0]
            let needed = 2 + stream.count
            for count in 0..<needed {
                let cut = Array(request[..<count])
                #expect(DatabaseProtocol.cassandra.refusal(.tooManyConnections("x"), to: cut) == .needsMore)
            }
            let whole = DatabaseProtocol.cassandra.refusal(.tooManyConnections("x"), to: request)
            for count in needed...request.count {
                let cut = Array(request[..<count])
                #expect(DatabaseProtocol.cassandra.refusal(.tooManyConnections("x"), to: cut) == whole)
            }
            guard case .say(let frame) = whole else {
                Issue.record("nothing was said")
                continue
            }
            #expect(frame[0] == 0x80 | ((1...5).contains(version) ? version : 4))
            #expect(Array(frame[1..<3 + stream.count]) == [0] + stream + [0])
        }
    }

    @Test func `is one line for Redis, whatever is in it`() {
        let refusal = Refusal.certificateNotAccepted("a\r\n+OK\r\nb")
        guard case .say(let bytes) = DatabaseProtocol.redis.refusal(refusal, to: [0x2A]) else {
            Issue.record("nothing was said")
            return
        }
        #expect(bytes.count { $0 == 0x0A } == 1 && bytes.count { $0 == 0x0D } == 1)
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
