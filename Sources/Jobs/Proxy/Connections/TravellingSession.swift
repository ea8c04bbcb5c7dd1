import IO
import OpenSSL
import Synchronization

/// What a finished handshake agreed on.
struct TLSFacts: Sendable {
    let version: String
    let cipher: String
    let applicationProtocol: String?
    /// What the client asked for (SNI).
    let serverName: String?
    /// What the client was shown.
    let ownCertificate: Certificate?
    /// Leaf first, as verified; of a session that was resumed, as it was verified when that began.
    let chain: [Certificate]
    let ticket: TicketOutcome

    /// A handshake with a verified peer has a leaf; without one it is not finished.
    var peer: PeerAttributes? { chain.first.map { PeerAttributes($0) } }
}

extension TLSFacts {
    /// nil unless the peer is verified.
    init?(_ session: TLSSession) {
        guard session.isPeerVerified else { return nil }
        self.init(
            version: session.version, cipher: session.cipher, applicationProtocol: session.applicationProtocol,
            serverName: session.serverName, ownCertificate: session.ownCertificate, chain: session.peerChain,
            ticket: session.ticketOutcome)
    }
}

/// A TLS session that begins on a handshake lane and ends on a data lane.
///
/// Until it is taken out, all calls go through its mutex, which the one lane that works on it never finds locked. A
/// session that an actor kept in a collection of its own could not be sent away again.
final class TravellingSession: Sendable {
    private let session: Mutex<TLSSession?>

    init(_ context: TLSContext, explainsRefusal: Bool, mark: SessionMark?) {
        session = Mutex(TLSSession(context, explainsRefusal: explainsRefusal, mark: mark))
    }

    /// The lane takes its session out here, for good.
    func take() -> sending TLSSession? {
        session.withLock { session -> sending TLSSession? in
            let taken = session
            session = nil
            return taken
        }
    }

    func attach(_ transport: TLSTransport) { session.withLock { $0?.attach(transport) } }
    func detach() { session.withLock { $0?.detach() } }

    func handshake() -> HandshakeOutcome {
        session.withLock { $0?.handshake() ?? .failed(TLSFailure(.other, "the session has left")) }
    }

    /// nil unless the peer is verified.
    var facts: TLSFacts? {
        session.withLock { session -> TLSFacts? in session.flatMap { TLSFacts($0) } }
    }

    /// Decrypts all that lies in the transport's `cipherIn`, of which there are at most `limit` bytes.
    func receive(limit: Int) -> (outcome: TLSReadOutcome, bytes: [UInt8]) {
        session.withLock { session -> (TLSReadOutcome, [UInt8]) in
            guard let session else { return (.ended, []) }
            // Nothing came: most clients await an answer before they say more.
            if session.inputCount == 0, session.isQuiet { return (.wantsInput, []) }
            let plain = LaneBuffer(capacity: min(limit, session.inputCount) + 32 << 10)
            let outcome = session.read(into: plain)
            return (outcome, plain.bytes())
        }
    }

    /// Encrypts a short text into the transport's `cipherOut`; false when it did not fit or the session has failed.
    func send(_ bytes: [UInt8]) -> Bool {
        if bytes.isEmpty { return true }
        return session.withLock { session -> Bool in
            guard let session else { return false }
            let plain = LaneBuffer(capacity: bytes.count)
            plain.append(bytes)
            guard case .bytes = session.write(from: plain) else { return false }
            return plain.isEmpty
        }
    }

    /// Puts close_notify into the transport's `cipherOut`.
    func close() { session.withLock { _ = $0?.close() } }
}
