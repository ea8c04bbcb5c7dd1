import IO
import OpenSSL
import TestSupport
import Testing

@Suite struct `A handshake` {
    @Test func `offers no session to resume, in TLS 1.3`() throws {
        let pair = try TLSPair(client: Scenery.client, version: .tls13)
        _ = pair.client.handshake()
        #expect(pair.server.handshake() == .wantsInput)
        #expect(pair.client.handshake() == .finished)
        #expect(pair.downward.isEmpty)
        #expect(pair.server.handshake() == .finished)
        // A ticket would stand here.
        #expect(pair.downward.isEmpty)
    }

    @Test func `offers no session to resume, in TLS 1.2`() throws {
        let pair = try TLSPair(client: Scenery.client, version: .tls12)
        _ = pair.client.handshake()
        _ = pair.server.handshake()
        let hello = pair.downward.bytes()
        // Record header 5, message header 4, version 2, random 32: then the length of the session identifier.
        #expect(hello[43] == 0)
        _ = pair.client.handshake()
        #expect(pair.server.handshake() == .finished)
        // ChangeCipherSpec comes first: no NewSessionTicket before it.
        #expect(pair.downward[0] == 20)
        #expect(pair.client.handshake() == .finished)
    }

    @Test func `agrees on an application protocol, or does without`() throws {
        let context = try Scenery.serverContext(applicationProtocols: ["postgresql", "other"])
        func outcome(_ offered: [String]) throws -> (TLSPair, (server: HandshakeOutcome, client: HandshakeOutcome)) {
            let client = try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: nil,
                applicationProtocols: offered)
            let pair = TLSPair(context, client)
            return (pair, pair.shakeHands())
        }
        let (chosen, first) = try outcome(["other", "postgresql"])
        #expect(first == (.finished, .finished))
        #expect(chosen.server.applicationProtocol == "postgresql")
        #expect(chosen.client.applicationProtocol == "postgresql")
        let (silent, second) = try outcome([])
        #expect(second == (.finished, .finished))
        #expect(silent.server.applicationProtocol == nil)
        guard case .failed(let failure) = try outcome(["http/1.1"]).1.server else {
            Issue.record("another protocol was accepted")
            return
        }
        #expect(failure.kind == .applicationProtocol)
    }

    @Test func `refuses a version below its minimum`() throws {
        let client = try TLSContext.client(
            identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: nil, maximum: .tls12)
        let outcomes = TLSPair(try Scenery.serverContext(minimum: .tls13), client).shakeHands()
        guard case .failed(let failure) = outcomes.server else {
            Issue.record("TLS 1.2 was accepted")
            return
        }
        #expect(failure.kind == .protocolMismatch)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", TLSFailure.Kind.plaintextHTTP),
        ("CONNECT localhost:1 HTTP/1.1\r\n\r\n", .plaintextHTTP),
        ("\0\0\0\u{8}\u{4}\u{2}\u{16}\u{2f}", .garbage),
        ("*1\r\n$4\r\nPING\r\n", .garbage),
        ("SSH-2.0-OpenSSH_9.2\r\n", .garbage),
        (String(repeating: "\u{7f}", count: 64), .garbage),
    ])
    func `refuses plaintext and garbage`(text: String, kind: TLSFailure.Kind) throws {
        let pair = try TLSPair()
        pair.upward.append(Array(text.utf8))
        guard case .failed(let failure) = pair.server.handshake() else {
            Issue.record("accepted")
            return
        }
        #expect(failure.kind == kind, "\(failure)")
    }

    @Test(arguments: TLSVersion.allCases)
    func `that is cut anywhere is truncated`(version: TLSVersion) throws {
        let lengths = try flights(version)
        for cut in stride(from: 0, to: lengths.first, by: 3) {
            let pair = try TLSPair(client: Scenery.client, version: version)
            _ = pair.client.handshake()
            expectTruncation(pair, keeping: cut)
        }
        // Signatures vary in length by a byte or two: a byte or two less are tried here.
        for cut in stride(from: 0, to: lengths.second - 8, by: 7) {
            let pair = try TLSPair(client: Scenery.client, version: version)
            _ = pair.client.handshake()
            _ = pair.server.handshake()
            _ = pair.client.handshake()
            expectTruncation(pair, keeping: cut)
        }
    }

    private func expectTruncation(_ pair: TLSPair, keeping count: Int) {
        let bytes = pair.upward.drain()
        pair.upward.append(Array(bytes.prefix(count)))
        pair.server.inputEnded()
        guard case .failed(let failure) = pair.server.handshake() else {
            Issue.record("a handshake that was cut after \(count) bytes goes on")
            return
        }
        #expect(failure.kind == .truncated, "after \(count) bytes: \(failure)")
    }

    @Test(arguments: TLSVersion.allCases)
    func `with one bit changed anywhere in the client's messages does not succeed`(version: TLSVersion) throws {
        let lengths = try flights(version)
        for flight in 0..<2 {
            for position in stride(from: 0, to: flight == 0 ? lengths.first : lengths.second - 8, by: 5) {
                let pair = try TLSPair(client: Scenery.client, version: version)
                _ = pair.client.handshake()
                if flight == 1 {
                    _ = pair.server.handshake()
                    _ = pair.client.handshake()
                }
                var bytes = pair.upward.drain()
                bytes[position] ^= 1 << UInt8(position % 8)
                pair.upward.append(bytes)
                _ = pair.server.handshake()
                let outcomes = pair.shakeHands()
                // Headers of plaintext records have a version that nobody reads (RFC 8446 §5.1).
                let isHeader = recordHeaders(in: bytes).contains(position)
                #expect(isHeader || outcomes.server != .finished, "flight \(flight), byte \(position)")
            }
        }
    }

    /// Bytes that the client sends first, and in answer to the server.
    private func flights(_ version: TLSVersion) throws -> (first: Int, second: Int) {
        let pair = try TLSPair(client: Scenery.client, version: version)
        _ = pair.client.handshake()
        let first = pair.upward.count
        _ = pair.server.handshake()
        _ = pair.client.handshake()
        return (first, pair.upward.count)
    }

    private func recordHeaders(in bytes: [UInt8]) -> Set<Int> {
        var headers: Set<Int> = []
        var start = 0
        while start + 5 <= bytes.count {
            headers.formUnion(start..<start + 5)
            start += 5 + Int(bytes[start + 3]) << 8 + Int(bytes[start + 4])
        }
        return headers
    }

    @Test(arguments: TLSVersion.allCases)
    func `and then a record with one bit changed is refused`(version: TLSVersion) throws {
        let length = 5 + 3 + 17 + (version == .tls12 ? 7 : 0)
        for position in 0..<length {
            let pair = try TLSPair.established(version: version)
            #expect(pair.client.write(from: LaneBuffer([7, 8, 9])) == .bytes(3))
            var bytes = pair.upward.drain()
            #expect(bytes.count == length)
            bytes[position] ^= 1 << UInt8(position % 8)
            pair.upward.append(bytes)
            pair.server.inputEnded()
            let plain = LaneBuffer(capacity: 100)
            guard case .failed = pair.server.read(into: plain) else {
                Issue.record("byte \(position) may be changed")
                continue
            }
            #expect(plain.isEmpty)
        }
    }
}
