import Dispatch
import Glibc
import IO
import OpenSSL
import TestSupport

/// One connection of a real client over a real socket, served by a `TLSSession`, for programs that are not ours.
///
/// The server greets, echoes what it gets in upper-case ASCII, and answers the client's end with its own.
struct ServedConnection {
    let handshake: HandshakeOutcome
    let received: [UInt8]
    let version: String
    let peer: Certificate?
    let chain: [Certificate]
    let ticket: TicketOutcome
    let client: Subprocess.Result

    /// Runs `openssl s_client` with `options`; `input` is what it types. On a thread of its own, because the tests
    /// beside it keep the pool's threads busy.
    static func serve(
        _ context: TLSContext, mark: SessionMark? = nil, explainsRefusal: Bool = false, options: [String],
        input: String = "hello\n", within seconds: Double = 60
    ) async throws -> ServedConnection {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        let session = TLSSession(context, explainsRefusal: explainsRefusal, mark: mark)
                        return try serveNow(session, options: options, input: input, within: seconds)
                    })
            }
        }
    }

    private static func serveNow(
        _ session: TLSSession, options: [String], input: String, within seconds: Double
    ) throws -> ServedConnection {
        guard let any = SocketAddress("127.0.0.1:0") else { throw TestSupportError("no address") }
        let listener = try ListeningSocket(any)
        let client = try Subprocess(
            "openssl",
            ["s_client", "-connect", "\(listener.address)", "-CAfile", try Scenery.authority.trustPath, "-no_ign_eof"]
                + options,
            keepsInputOpen: true)
        try client.write(Array(input.utf8))
        let deadline = ContinuousClock.now + .seconds(seconds)
        awaitReadable(listener.rawValue, until: deadline)
        guard case .accepted(let socket, _) = listener.accept() else { throw TestSupportError("nobody came") }
        var served = Served(session)
        served.run(socket, until: deadline)
        try client.endInput()
        let result = try client.end(within: seconds)
        discard(socket)
        return ServedConnection(
            handshake: served.outcome, received: served.received, version: served.session.version,
            peer: served.session.peerCertificate, chain: served.session.peerChain,
            ticket: served.session.ticketOutcome, client: result)
    }

    private static func discard(_ socket: consuming StreamSocket) {}
}

private func awaitReadable(_ descriptor: Int32, until deadline: ContinuousClock.Instant) {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while ContinuousClock.now < deadline, poll(&waiting, 1, 100) <= 0 {}
}

private struct Served {
    let session: TLSSession
    var outcome = HandshakeOutcome.wantsInput
    var received: [UInt8] = []
    private let cipherIn = LaneBuffer(capacity: 64 << 10)
    private let cipherOut = LaneBuffer(capacity: 64 << 10)
    private let plain = LaneBuffer(capacity: 96 << 10)

    init(_ session: TLSSession) {
        self.session = session
        session.attach(TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut))
    }

    /// Until the client has typed a line, or either side ends or fails.
    mutating func run(_ socket: borrowing StreamSocket, until deadline: ContinuousClock.Instant) {
        while ContinuousClock.now < deadline {
            if outcome == .wantsInput { outcome = session.handshake() }
            var isOver = false
            if outcome == .finished { isOver = converse() }
            switch outcome {
            case .failed, .finishedUnverified: isOver = true
            case .finished, .wantsInput, .wantsOutput: break
            }
            while !cipherOut.isEmpty, case .bytes = socket.write(from: cipherOut) {}
            if isOver { return socket.shutdownWriting() }
            switch socket.read(into: cipherIn) {
            case .bytes: break
            case .wouldBlock: awaitReadable(socket.rawValue, until: deadline)
            case .ended, .failed: session.inputEnded()
            }
        }
    }

    private mutating func converse() -> Bool {
        switch session.read(into: plain) {
        case .bytes:
            received += plain.bytes()
            plain.removeAll()
            guard received.contains(UInt8(ascii: "\n")) else { return false }
            let answer = LaneBuffer(capacity: 1 << 10)
            answer.append(Array("ANSWER\n".utf8))
            _ = session.write(from: answer)
            session.close()
            return true
        case .wantsInput, .wantsOutput: return false
        case .ended: return true
        case .failed(let failure):
            outcome = .failed(failure)
            return true
        }
    }
}
