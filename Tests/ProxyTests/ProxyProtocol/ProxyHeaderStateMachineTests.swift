import Testing

@testable import Proxy

@Suite struct `A listed proxy's first bytes` {
    private static let header = ProxyHeader(
        origin: .client(`A PROXY header`.ipv6, at: `A PROXY header`.ipv6Server), fields: [.init(0x02, [0x61, 0x62])])

    /// What comes of `input` in pieces of this size, and how much of it was taken.
    private static func outcome(
        of input: [UInt8], pieces: Int
    ) -> (action: ProxyHeaderStateMachine.Action, taken: Int) {
        var machine = ProxyHeaderStateMachine()
        var action = machine.firstAction
        var taken = 0
        while case .read(let limit) = action {
            let piece = Array(input[taken...].prefix(min(limit, pieces)))
            if piece.isEmpty { return (machine.ended(), taken) }
            taken += piece.count
            action = machine.received(piece)
        }
        return (action, taken)
    }

    @Test func `are the header, and nothing that follows it is taken, however they come`() {
        let bytes = Self.header.bytes
        for pieces in 1...(bytes.count + 4) {
            let (action, taken) = Self.outcome(of: bytes + [0x16, 3, 1, 0], pieces: pieces)
            #expect(action == .accept(Self.header))
            #expect(taken == bytes.count)
        }
    }

    @Test func `are all that a LOCAL connection says`() {
        let (action, taken) = Self.outcome(of: ProxyHeader(origin: .local).bytes + [1], pieces: 64)
        #expect(action == .accept(ProxyHeader(origin: .local)) && taken == 16)
    }

    @Test(arguments: [
        [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3], [0, 0, 0, 8, 4, 0xD2, 0x16, 0x2F], Array("GET / HTTP/1.1\r\n".utf8),
        [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0B, 0x21, 0x11, 0, 12], [0x50, 0x51],
    ])
    func `that begin otherwise are refused at the first byte that tells`(input: [UInt8]) {
        for pieces in [1, 16] {
            guard case .refuse(.noProxyHeader, let detail?) = Self.outcome(of: input, pieces: pieces).action else {
                Issue.record("\(input) was not refused")
                continue
            }
            #expect(detail == "no PROXY header came before the client's first bytes")
        }
    }

    @Test func `that are of version 1 are refused as such`() {
        let text = Array("PROXY TCP4 192.0.2.1 198.51.100.7 56324 5433\r\n".utf8)
        for pieces in [1, 3, 64] {
            let expected = ProxyHeaderStateMachine.Action.refuse(
                .noProxyHeader, detail: "PROXY protocol version 1 is not spoken here, version 2 is")
            #expect(Self.outcome(of: text, pieces: pieces).action == expected)
        }
    }

    @Test func `that are wrong are refused with the reason, before more is read`() {
        let tooLong = ProxyHeader.signature + [0x21, 0x11, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 100)
        let (action, taken) = Self.outcome(of: tooLong, pieces: 64)
        #expect(action == .refuse(.badProxyHeader, detail: "the PROXY header has 65551 bytes, more than 4096"))
        #expect(taken == 16)
        var damaged = Self.header.bytes
        damaged[20] ^= 1
        #expect(
            Self.outcome(of: damaged, pieces: 64).action
                == .refuse(.badProxyHeader, detail: "the PROXY header does not have its checksum"))
    }

    @Test func `that end early are a client that left, and none at all a look at the port`() {
        let bytes = Self.header.bytes
        for count in 0..<bytes.count {
            let action = Self.outcome(of: Array(bytes.prefix(count)), pieces: 64).action
            #expect(action == .refuse(count == 0 ? .probe : .clientLeft, detail: nil))
        }
    }
}
