import Glibc
import IO
import OpenSSL
import TestSupport
import Testing

@Suite struct `A TLS session` {
    @Test(arguments: TLSVersion.allCases)
    func `carries any amount in both directions`(version: TLSVersion) throws {
        let pair = try TLSPair.established(version: version)
        let data = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        for (from, to) in [(pair.client, pair.server), (pair.server, pair.client)] {
            #expect(try carry(data, from: from, to: to, plainCapacity: 80 << 10) == data)
        }
    }

    @Test(arguments: [4096, 5000, 16_700, 33_333, 70_000])
    func `never leaves half a record inside, however small the buffers`(capacity: Int) throws {
        let pair = try TLSPair.established()
        let lane = (up: LaneBuffer(capacity: capacity), down: LaneBuffer(capacity: capacity))
        pair.server.attach(TLSTransport(cipherIn: lane.up, cipherOut: lane.down))
        pair.client.attach(TLSTransport(cipherIn: lane.down, cipherOut: lane.up))
        let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
        #expect(try carry(data, from: pair.client, to: pair.server, plainCapacity: 1000) == data)
        let plain = LaneBuffer(data)
        guard case .bytes = pair.client.write(from: plain) else {
            Issue.record("nothing was written")
            return
        }
        #expect(lane.up.freeCount < 1000)
        while case .bytes = pair.client.write(from: plain) {}
        let waiting = plain.count
        #expect(pair.client.write(from: plain) == .wantsOutput)
        #expect(plain.count == waiting)
    }

    @Test func `ends one direction with close_notify and goes on in the other`() throws {
        for version in TLSVersion.allCases {
            let pair = try TLSPair.established(version: version)
            pair.client.close()
            let plain = LaneBuffer(capacity: 4096)
            #expect(pair.server.read(into: plain) == .ended)
            #expect(pair.server.read(into: plain) == .ended)
            #expect(try carry([1, 2, 3], from: pair.server, to: pair.client, plainCapacity: 100) == [1, 2, 3])
            pair.server.close()
            #expect(pair.client.read(into: plain) == .ended)
        }
    }

    @Test func `gives the last bytes before it tells of the end`() throws {
        let pair = try TLSPair.established()
        #expect(pair.client.write(from: LaneBuffer([1, 2, 3])) == .bytes(3))
        pair.client.close()
        let plain = LaneBuffer(capacity: 100)
        #expect(pair.server.read(into: plain) == .bytes(3))
        #expect(pair.server.read(into: plain) == .ended)
    }

    @Test func `takes the end of the network for truncation, not for an end`() throws {
        for version in TLSVersion.allCases {
            let pair = try TLSPair.established(version: version)
            #expect(pair.client.write(from: LaneBuffer([1, 2, 3])) == .bytes(3))
            pair.server.inputEnded()
            let plain = LaneBuffer(capacity: 100)
            #expect(pair.server.read(into: plain) == .bytes(3))
            guard case .failed(let failure) = pair.server.read(into: plain) else {
                Issue.record("taken for a clean end")
                return
            }
            #expect(failure.kind == .truncated)
            #expect(pair.server.write(from: LaneBuffer([1])) == .failed(failure))
            #expect(pair.server.close())
        }
    }

    @Test func `keeps a clean end that came with the network's end`() throws {
        let pair = try TLSPair.established()
        pair.client.close()
        pair.server.inputEnded()
        #expect(pair.server.read(into: LaneBuffer(capacity: 10)) == .ended)
    }

    @Test func `keeps what a small buffer could not take`() throws {
        let pair = try TLSPair.established()
        #expect(pair.client.write(from: LaneBuffer([1, 2, 3, 4])) == .bytes(4))
        let plain = LaneBuffer(capacity: 3)
        #expect(pair.server.read(into: plain) == .bytes(3))
        #expect(pair.server.hasPendingInput)
        plain.removeAll()
        #expect(pair.server.read(into: plain) == .bytes(1))
        #expect(!pair.server.hasPendingInput)
        #expect(pair.server.read(into: plain) == .wantsInput)
    }

    @Test func `moves to another lane between any two bytes of a record`() throws {
        let pair = try TLSPair.established()
        let plain = LaneBuffer(capacity: 1000)
        for cut in 0..<60 {
            #expect(pair.client.write(from: LaneBuffer([UInt8(cut), 42])) == .bytes(2))
            let bytes = pair.upward.drain()
            let lane = LaneBuffer(Array(bytes.prefix(cut)), capacity: 1000)
            pair.server.attach(TLSTransport(cipherIn: lane, cipherOut: LaneBuffer(capacity: 8192)))
            if cut < bytes.count { #expect(pair.server.read(into: plain) == .wantsInput) }
            #expect(cut >= bytes.count || lane.isEmpty)
            pair.server.detach()
            let next = LaneBuffer(lane.drain() + bytes.dropFirst(cut), capacity: 1000)
            pair.server.attach(TLSTransport(cipherIn: next, cipherOut: LaneBuffer(capacity: 8192)))
            #expect(pair.server.read(into: plain) == .bytes(2))
            #expect(plain.drain() == [UInt8(cut), 42])
        }
    }

    @Test func `shares its lane's buffers with the others of the lane, even amid handshakes`() throws {
        let up = LaneBuffer(capacity: 64 << 10)
        let down = LaneBuffer(capacity: 64 << 10)
        let lane = TLSTransport(cipherIn: up, cipherOut: down)
        let context = try Scenery.serverContext()
        let pairs = try (0..<5).map { _ in
            (server: TLSSession(context, lane), peer: try TLSPair(client: Scenery.client))
        }
        for _ in 0..<4 {
            for (server, peer) in pairs {
                _ = peer.client.handshake()
                up.append(peer.upward.drain())
                _ = server.handshake()
                #expect(up.isEmpty)
                peer.downward.append(down.drain())
            }
        }
        for (server, peer) in pairs {
            #expect(server.isHandshakeFinished && peer.client.isHandshakeFinished)
        }
    }

    @Test func `replaces its key after a number of records`() throws {
        let pair = try TLSPair.established()
        let other = try TLSPair.established()
        for session in [pair.client, pair.server] { session.recordsPerKey = 3 }
        func bytesOnTheWire(_ pair: TLSPair) -> [Int] {
            (0..<10).map { _ in
                _ = pair.client.write(from: LaneBuffer([1]))
                defer { _ = pair.server.read(into: LaneBuffer(capacity: 10)) }
                return pair.upward.count
            }
        }
        let plain = bytesOnTheWire(other)
        let renewed = bytesOnTheWire(pair)
        // A KeyUpdate record before the fourth, seventh and tenth.
        #expect(
            zip(plain, renewed).map { $0 < $1 }
                == [3, 6, 9].reduce(into: Array(repeating: false, count: 10)) {
                    $0[$1] = true
                })
        let data = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 >> 3) }
        #expect(try carry(data, from: pair.server, to: pair.client, plainCapacity: 80 << 10) == data)
        let old = try TLSPair.established(version: .tls12)
        old.client.recordsPerKey = 1
        #expect(try carry(data, from: old.client, to: old.server, plainCapacity: 80 << 10) == data)
    }

    @Test(arguments: TLSVersion.allCases)
    func `shakes hands through an output buffer that is nearly full`(version: TLSVersion) throws {
        let pair = try TLSPair(client: Scenery.client, version: version)
        let ballast = [UInt8](repeating: 0, count: 4096 - 50)
        let output = LaneBuffer(ballast, capacity: 4096)
        pair.server.attach(TLSTransport(cipherIn: pair.upward, cipherOut: output))
        var waits = 0
        for _ in 0..<200 where !(pair.server.isHandshakeFinished && pair.client.isHandshakeFinished) {
            if pair.server.handshake() == .wantsOutput { waits += 1 }
            pair.downward.append(Array(output.drain().dropFirst(ballast.count)))
            output.append(ballast)
            _ = pair.client.handshake()
        }
        #expect(pair.server.isHandshakeFinished && pair.client.isHandshakeFinished)
        #expect(waits > 10)
    }

    @Test func `leaves no memory behind, finished, refused or abandoned`() throws {
        func rounds(_ count: Int) throws {
            let context = try Scenery.serverContext()
            let client = try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: "localhost")
            let stranger = try TLSContext.client(identity: nil, trust: Scenery.trust, serverName: "localhost")
            for _ in 0..<count {
                #expect(TLSPair(context, client).shakeHands() == (.finished, .finished))
                #expect(TLSPair(context, stranger).shakeHands().server != .finished)
                _ = TLSPair(context, client).client.handshake()
            }
        }
        try rounds(150)
        let before = try residentPages()
        try rounds(300)
        // A session takes 56 KiB; the bound is less than one of the three kinds would leak, and leaves room for the
        // tests that run at the same time.
        let leak = 300 * 40 << 10
        let grown = try (residentPages() - before) * 4096
        #expect(isSanitized || grown < leak)
    }

    private func residentPages() throws -> Int {
        let fields = try Subprocess.check("cat", ["/proc/\(getpid())/statm"]).split(separator: " ")
        return Int(fields[1]) ?? 0
    }

    private func carry(_ data: [UInt8], from: TLSSession, to: TLSSession, plainCapacity: Int) throws -> [UInt8] {
        let source = LaneBuffer(data)
        let plain = LaneBuffer(capacity: plainCapacity)
        var received: [UInt8] = []
        while received.count < data.count {
            let before = (received.count, source.count)
            if !source.isEmpty { _ = from.write(from: source) }
            while case .bytes = to.read(into: plain) { received += plain.drain() }
            guard before != (received.count, source.count) else { throw TestSupportError("it stands still") }
        }
        return received
    }
}
