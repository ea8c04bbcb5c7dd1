import IO
import OpenSSL
import Synchronization
import TestSupport
import Testing

/// What a lane's actor does with sessions, in miniature: proves that the compiler lets a session travel.
private actor Shore {
    private let cipherIn = LaneBuffer(capacity: 64 << 10)
    private let cipherOut = LaneBuffer(capacity: 64 << 10)
    private let plain = LaneBuffer(capacity: 96 << 10)
    private let transport: TLSTransport
    private var session: TLSSession?

    init() { transport = TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut) }

    /// A step of the handshake of a session that does not belong to this actor.
    func handshake(_ crossing: Crossing, input: [UInt8]) -> (HandshakeOutcome, output: [UInt8], rest: [UInt8]) {
        cipherIn.append(input)
        let outcome = crossing.withSession { [transport] session in
            session.attach(transport)
            defer { session.detach() }
            return session.handshake()
        }
        return (outcome, cipherOut.drain(), cipherIn.drain())
    }

    func land(_ crossing: Crossing) {
        guard let arrived = crossing.take() else { return }
        arrived.attach(transport)
        session = arrived
    }

    func read(_ input: [UInt8]) -> (TLSReadOutcome?, [UInt8]) {
        cipherIn.append(input)
        let outcome = session?.read(into: plain)
        return (outcome, plain.drain())
    }
}

private final class Crossing: Sendable {
    private let cell: Mutex<TLSSession?>

    init(_ session: consuming sending TLSSession) { cell = Mutex(session) }

    func withSession(_ body: @Sendable (TLSSession) -> HandshakeOutcome) -> HandshakeOutcome {
        cell.withLock { session in session.map { body($0) } ?? .wantsInput }
    }

    func take() -> sending TLSSession? {
        cell.withLock { session in
            let taken = session
            session = nil
            return taken
        }
    }
}

@Suite struct `A session shakes hands on one lane and lives on another` {
    @Test(arguments: TLSVersion.allCases)
    func `and early bytes travel with it`(version: TLSVersion) async throws {
        let pair = try TLSPair(client: Scenery.client, version: version)
        let crossing = Crossing(TLSSession(try Scenery.serverContext()))
        let handshakes = Shore()
        let data = Shore()
        _ = pair.client.handshake()
        var step = await handshakes.handshake(crossing, input: pair.upward.drain())
        pair.downward.append(step.output)
        _ = pair.client.handshake()
        if version == .tls13 { #expect(pair.client.write(from: LaneBuffer([4, 2])) == .bytes(2)) }
        step = await handshakes.handshake(crossing, input: pair.upward.drain())
        #expect(step.0 == .finished)
        pair.downward.append(step.output)
        if version == .tls12 {
            #expect(pair.client.handshake() == .finished)
            #expect(pair.client.write(from: LaneBuffer([4, 2])) == .bytes(2))
        }
        await data.land(crossing)
        let (outcome, plain) = await data.read(step.rest + pair.upward.drain())
        #expect(outcome == .bytes(2))
        #expect(plain == [4, 2])
    }
}
