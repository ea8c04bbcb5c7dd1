import IO
import OpenSSL
import TestSupport

/// A server's and a client's session that are joined in memory.
final class TLSPair {
    let upward: LaneBuffer
    let downward: LaneBuffer
    let server: TLSSession
    let client: TLSSession

    init(
        _ serverContext: TLSContext, _ clientContext: TLSContext, capacity: Int = 64 << 10,
        explainsRefusal: Bool = false
    ) {
        upward = LaneBuffer(capacity: capacity)
        downward = LaneBuffer(capacity: capacity)
        server = TLSSession(serverContext, explainsRefusal: explainsRefusal)
        server.attach(TLSTransport(cipherIn: upward, cipherOut: downward))
        client = TLSSession(clientContext, TLSTransport(cipherIn: downward, cipherOut: upward))
    }

    /// A pair of the usual contexts; `client` nil means that it shows no certificate.
    convenience init(client: TestIdentity? = nil, version: TLSVersion = .tls13) throws {
        self.init(
            try Scenery.serverContext(),
            try TLSContext.client(
                identity: try client?.tlsIdentity(), trust: Scenery.trust, serverName: "localhost", minimum: version,
                maximum: version))
    }

    /// As far as it goes, with the outcome of both sides.
    @discardableResult
    func shakeHands() -> (server: HandshakeOutcome, client: HandshakeOutcome) {
        var outcomes = (server: HandshakeOutcome.wantsInput, client: HandshakeOutcome.wantsInput)
        for _ in 0..<6 {
            outcomes = (server: outcomes.server, client: client.handshake()); outcomes.server = server.handshake()
        }
        return outcomes
    }

    static func established(version: TLSVersion = .tls13) throws -> TLSPair {
        let pair = try TLSPair(client: Scenery.client, version: version)
        let outcomes = pair.shakeHands()
        guard outcomes == (.finished, .finished) else { throw TestSupportError("no handshake: \(outcomes)") }
        return pair
    }
}

/// What all tests of TLS share: one authority, one server, one client.
enum Scenery {
    static var authority: TestAuthority { get throws { try made.get().authority } }
    static var server: TestIdentity { get throws { try made.get().server } }
    static var client: TestIdentity { get throws { try made.get().client } }
    static var trust: TrustAnchors { get throws { try made.get().trust } }

    static func serverContext(
        minimum: TLSVersion = .tls12, applicationProtocols: [String] = []
    ) throws -> TLSContext {
        try TLSContext.server(
            identity: try made.get().identity, trust: trust, minimum: minimum,
            applicationProtocols: applicationProtocols)
    }

    private struct Made: Sendable {
        let authority: TestAuthority
        let server: TestIdentity
        let client: TestIdentity
        let trust: TrustAnchors
        let identity: TLSIdentity
    }

    private static let made: Result<Made, any Error> = Result {
        let authority = try TestAuthority()
        let server = try authority.server()
        return Made(
            authority: authority, server: server, client: try authority.client(name: "alice"),
            trust: try authority.trust(), identity: try server.tlsIdentity())
    }
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }
    return stride(from: 0, to: digits.count, by: 2).compactMap { offset in
        let start = digits.index(digits.startIndex, offsetBy: offset)
        return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
    }
}

extension LaneBuffer {
    convenience init(_ bytes: [UInt8], capacity: Int = 0) {
        self.init(capacity: max(bytes.count, capacity, 1))
        append(bytes)
    }

    /// Its bytes, which are gone from it afterwards.
    func drain() -> [UInt8] {
        let all = bytes()
        removeAll()
        return all
    }
}
