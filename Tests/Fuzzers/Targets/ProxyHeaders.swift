import IO

@testable import Proxy

extension FuzzTarget {
    /// However the network cuts it, a header is read to its last byte and no further, and says the same when it is
    /// written again.
    static let proxyHeader = FuzzTarget("proxy-header", longest: 4200) {
        let client = SocketAddress.ipv4([192, 0, 2, 1], port: 5555)
        let server = SocketAddress.ipv6([0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 12), port: 5433)
        let fields = [
            ProxyHeader.Field(0x02, Array("localhost".utf8)), ProxyHeader.Field(0x05, [0x37]),
            ProxyHeader.Field(0x20, [7, 0, 0, 0, 0, 0x22, 0, 4] + Array("shop".utf8)),
        ]
        return [
            ProxyHeader(origin: .local).bytes, ProxyHeader(origin: .client(client, at: client)).bytes,
            ProxyHeader(origin: .client(client, at: server), fields: fields).bytes + [0x16, 3, 1],
            ProxyHeader(origin: .client(.unix(path: "/run/a"), at: .unix(path: "")), fields: fields).bytes,
            // Without a checksum, so that not every mutation is found by it.
            ProxyHeader.signature + [0x21, 0x11, 0, 19, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2, 4, 0, 4, 0, 0, 0, 0],
            Array("PROXY TCP4 192.0.2.1 198.51.100.7 5555 5433\r\n".utf8),
        ]
    } check: { input in
        let whole = try reading(input, [input[...]])
        for cut in cuts(of: input) {
            let other = try reading(input, cut)
            try promise(other == whole, "cut into \(cut.map(\.count)): \(other), and whole: \(whole)")
        }
        guard case .accept(let header) = whole else { return }
        let bytes = header.bytes
        try promise(bytes.count <= ProxyHeader.longest, "\(bytes.count) bytes")
        // A checksum may have had no room.
        if bytes.count < ProxyHeader.longest - 16 {
            try promise((try? ProxyHeader(decoding: bytes)) == header, "written again it is another")
        }
    }

    private static func reading(
        _ input: [UInt8], _ pieces: [ArraySlice<UInt8>]
    ) throws -> ProxyHeaderStateMachine.Action {
        var machine = ProxyHeaderStateMachine()
        var pieces = pieces.filter { !$0.isEmpty }
        var action = machine.firstAction
        var taken = 0
        while case .read(let limit) = action {
            try promise(limit > 0 && taken + limit <= ProxyHeader.longest, "a read of \(limit) after \(taken) bytes")
            guard let piece = pieces.first?.prefix(limit) else { return machine.ended() }
            pieces[0] = pieces[0].dropFirst(piece.count)
            if pieces[0].isEmpty { pieces.removeFirst() }
            taken += piece.count
            action = machine.received(Array(piece))
        }
        if case .accept = action {
            let length = try ProxyHeader.length(of: Array(input.prefix(ProxyHeader.prefixLength)))
            try promise(taken == length, "\(taken) bytes were taken of a header of \(length)")
        }
        return action
    }
}
