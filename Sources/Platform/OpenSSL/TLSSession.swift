import COpenSSL
import IO

/// One TLS connection: OpenSSL's `SSL`, with exactly one owner, on buffers that belong to the lane.
///
/// In every outcome, failures too, there may be bytes in `cipherOut` (an alert, for instance) that the owner sends.
/// After a failure all calls repeat it. Not `Sendable`: it moves to another lane as `sending`, detached.
package final class TLSSession {
    let ssl: OpaquePointer
    let context: TLSContext
    private var transport: TLSTransport?
    /// Records under one TLS 1.3 key before it is replaced: AES-GCM allows 2^24.5 (RFC 8446 §5.5), and OpenSSL 3.0 does
    /// not count.
    package var recordsPerKey = 1 << 23
    private var recordCount = 0
    /// A session between ourselves, for the self-test of a context: the client shows the server's own certificate.
    let isSelfTest: Bool
    /// A server's session whose handshake ends even if the peer's certificate is not accepted.
    private let explainsRefusal: Bool
    private var unverified: TLSFailure?
    private var isEstablished = false
    private var isClosed = false
    private var inputHasEnded = false
    private var refusal: TLSFailure?
    /// Leaf first, anchor last; empty before the peer is verified.
    private var verifiedChain: [Certificate] = []
    private var keyUpdates = KeyUpdateBudget()
    /// nil: every handshake is a full one.
    var tickets: TicketState?
    /// `.ended` or `.failed`, once reading has come to it.
    private var ending: TLSReadOutcome?

    package convenience init(_ context: TLSContext, _ transport: TLSTransport) {
        self.init(context, transport, isSelfTest: false)
    }

    /// A session that is to be attached later. `explainsRefusal`: see `HandshakeOutcome.finishedUnverified`.
    /// `mark`: what its tickets are bound to, where the context resumes; without one it is never resumed.
    package convenience init(_ context: TLSContext, explainsRefusal: Bool = false, mark: SessionMark? = nil) {
        self.init(context, nil, isSelfTest: false, explainsRefusal: explainsRefusal, mark: mark)
    }

    init(
        _ context: TLSContext, _ transport: TLSTransport?, isSelfTest: Bool, explainsRefusal: Bool = false,
        mark: SessionMark? = nil
    ) {
        guard let ssl = SSL_new(context.pointer) else { preconditionFailure("out of memory") }
        self.ssl = ssl
        self.context = context
        self.isSelfTest = isSelfTest
        self.explainsRefusal = explainsRefusal && context.isServer && !isSelfTest
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        if context.isServer {
            SSL_set_accept_state(ssl)
            // Without FAIL_IF_NO_PEER_CERT; `finishHandshake` sees that there was none.
            if self.explainsRefusal { SSL_set_verify(ssl, SSL_VERIFY_PEER, nil) }
            tickets = TicketState(mark, of: ssl, context)
        } else {
            SSL_set_connect_state(ssl)
            if let name = context.serverName, !PeerVerification.isAddress(name) {
                _ = COpenSSL_SSL_set_tlsext_host_name(ssl, name)
            }
        }
        if let transport { attach(transport) }
    }

    deinit { SSL_free(ssl) }

    // MARK: Lanes

    /// Binds the session to a lane's buffers.
    package func attach(_ transport: TLSTransport) {
        // SSL_set_bio(3) takes one reference when both are the same BIO.
        BIO_up_ref(transport.bio)
        SSL_set_bio(ssl, transport.bio, transport.bio)
        self.transport = transport
    }

    /// Lets go of the lane's buffers, before the session leaves the lane.
    package func detach() {
        SSL_set_bio(ssl, nil, nil)
        transport = nil
    }

    /// The network has no more bytes for this session: what lies in `cipherIn` is the last of it.
    package func inputEnded() { inputHasEnded = true }

    private func enter() -> TLSTransport {
        guard let transport else { preconditionFailure("the session is not attached to a lane") }
        transport.inputHasEnded = inputHasEnded
        ErrorStack.clear()
        return transport
    }

    // MARK: Handshake

    package func handshake() -> HandshakeOutcome {
        if case .failed(let failure) = ending { return .failed(failure) }
        if isEstablished { return unverified.map { .finishedUnverified($0) } ?? .finished }
        _ = enter()
        let result = stepOfHandshake()
        if result == 1 { return finishHandshake() }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsInput
        case SSL_ERROR_WANT_WRITE: return .wantsOutput
        default: return .failed(fail())
        }
    }

    /// Trusts no single switch of OpenSSL's: the peer's certificate must have passed our own verification now, or our
    /// own judgement of its ticket.
    private func finishHandshake() -> HandshakeOutcome {
        if context.verifiesPeer, !isSelfTest {
            if SSL_session_reused(ssl) == 1 { verifiedChain = resumedChain }
            guard !verifiedChain.isEmpty, SSL_get0_peer_certificate(ssl) != nil,
                SSL_get_verify_result(ssl) == Int(X509_V_OK)
            else { return finishUnverified() }
        }
        isEstablished = true
        return .finished
    }

    private func finishUnverified() -> HandshakeOutcome {
        verifiedChain = []
        guard explainsRefusal else {
            return .failed(fail(TLSFailure(.noCertificate, "the peer's certificate was not verified")))
        }
        let failure = refusal ?? TLSFailure(.noCertificate, "peer did not return a certificate")
        unverified = failure
        isEstablished = true
        return .finishedUnverified(failure)
    }

    var isServer: Bool { context.isServer }

    func keyUpdateArrived(atSecond second: Int) { keyUpdates.arrived(atSecond: second) }

    func peerVerified(_ chain: [Certificate]) { verifiedChain = chain }

    /// What the verification callback returns: 0, unless the handshake is to end so that the peer can be told.
    func peerRefused(_ failure: TLSFailure) -> Int32 {
        refusal = failure
        SSL_set_num_tickets(ssl, 0)
        return explainsRefusal ? 1 : 0
    }

    func refuseName(_ name: String?) {
        refusal = TLSFailure(
            .unknownServerName,
            name.map { "no certificate here has the name '\($0)'" } ?? "the client asked for no name")
    }

    // MARK: Data

    /// Decrypts as much as there is and `plain` has room for.
    ///
    /// With `plain` larger than `cipherIn` by 16 KiB, `cipherIn` is empty afterwards: OpenSSL keeps a partial record.
    package func read(into plain: LaneBuffer) -> TLSReadOutcome {
        if let ending { return ending }
        precondition(isEstablished && plain.freeCount > 0)
        let transport = enter()
        var outcome = TLSReadOutcome.wantsInput
        let total = plain.withFreeSpace { readRecords(into: $0, of: transport, outcome: &outcome) }
        switch outcome {
        case .ended, .failed: ending = outcome
        case .bytes, .wantsInput, .wantsOutput: break
        }
        return total > 0 ? .bytes(total) : outcome
    }

    private func readRecords(
        into space: UnsafeMutableRawBufferPointer, of transport: TLSTransport, outcome: inout TLSReadOutcome
    ) -> Int {
        var filled = 0
        while filled < space.count {
            var count = 0
            let result = SSL_read_ex(ssl, space.baseAddress.map { $0 + filled }, space.count - filled, &count)
            guard !keyUpdates.isExceeded else {
                outcome = .failed(fail(KeyUpdateBudget.failure))
                return filled
            }
            guard result == 1 else {
                outcome = readStopped(SSL_get_error(ssl, result))
                return filled
            }
            filled += count
            // Spares the call that would only say "later".
            if transport.cipherIn.isEmpty, SSL_pending(ssl) == 0 { return filled }
            ErrorStack.clear()
        }
        return filled
    }

    private func readStopped(_ error: Int32) -> TLSReadOutcome {
        switch error {
        case SSL_ERROR_WANT_READ: .wantsInput
        case SSL_ERROR_WANT_WRITE: .wantsOutput
        case SSL_ERROR_ZERO_RETURN: .ended
        default: .failed(fail())
        }
    }

    /// Encrypts what of `plain` surely fits into `cipherOut`, and consumes it.
    ///
    /// No half-written record ever stays within OpenSSL, so `plain` may be a buffer that the whole lane shares.
    package func write(from plain: LaneBuffer) -> TLSWriteOutcome {
        if case .failed(let failure) = ending { return .failed(failure) }
        precondition(isEstablished && !isClosed && !plain.isEmpty)
        let limit = min(plain.count, enter().plainCapacity)
        guard limit > 0 else { return .wantsOutput }
        var outcome = TLSWriteOutcome.wantsOutput
        let total = plain.withReadableBytes { bytes in
            writeRecords(UnsafeRawBufferPointer(rebasing: bytes.prefix(limit)), outcome: &outcome)
        }
        plain.consume(total)
        return total > 0 ? .bytes(total) : outcome
    }

    /// One record a call, because of SSL_MODE_ENABLE_PARTIAL_WRITE.
    private func writeRecords(_ bytes: UnsafeRawBufferPointer, outcome: inout TLSWriteOutcome) -> Int {
        var written = 0
        while written < bytes.count {
            var count = 0
            let result = SSL_write_ex(ssl, bytes.baseAddress.map { $0 + written }, bytes.count - written, &count)
            guard result == 1 else {
                switch SSL_get_error(ssl, result) {
                case SSL_ERROR_WANT_READ: outcome = .wantsInput
                case SSL_ERROR_WANT_WRITE: outcome = .wantsOutput
                default: outcome = .failed(fail())
                }
                return written
            }
            written += count
            countRecord()
        }
        return written
    }

    private func countRecord() {
        recordCount += 1
        if recordCount >= recordsPerKey, SSL_version(ssl) == TLS1_3_VERSION {
            recordCount = 0
            // The message goes out before the next record; `plainCapacity` leaves room for it.
            SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
        }
        ErrorStack.clear()
    }

    /// Puts close_notify into `cipherOut`; reading may go on. True when it lies there (or never will, after a failure
    /// or before the handshake's end), false when `cipherOut` had no room: then call again.
    @discardableResult
    package func close() -> Bool {
        if case .failed = ending { return true }
        guard isEstablished, !isClosed else { return true }
        _ = enter()
        isClosed = SSL_shutdown(ssl) >= 0
        ErrorStack.clear()
        return isClosed
    }

    private func fail(_ known: TLSFailure? = nil) -> TLSFailure {
        let failure = known ?? TLSFailure(ErrorStack.drain(), verification: refusal)
        ErrorStack.clear()
        ending = .failed(failure)
        return failure
    }
}

extension TLSSession {
    /// Decrypted bytes wait inside OpenSSL, because the last `plain` was too small for a record.
    package var hasPendingInput: Bool { SSL_pending(ssl) > 0 }

    /// Neither side has ended it or failed.
    package var isQuiet: Bool { ending == nil && !inputHasEnded }

    /// Bytes that `read` would look at: those of the network, and what OpenSSL keeps.
    package var inputCount: Int { (transport?.cipherIn.count ?? 0) + Int(SSL_pending(ssl)) }

    package var isHandshakeFinished: Bool { isEstablished }

    /// The handshake is over, and the peer's certificate has passed every check.
    package var isPeerVerified: Bool { isEstablished && !verifiedChain.isEmpty && unverified == nil }

    /// Leaf first, anchor last, as verified; for a peer that was not verified, what it sent.
    package var peerChain: [Certificate] {
        if !verifiedChain.isEmpty { return verifiedChain }
        let sent = certificateChain(SSL_get_peer_cert_chain(ssl))
        guard let leaf = peerCertificate, sent.first != leaf else { return sent }
        return [leaf] + sent
    }

    package var peerCertificate: Certificate? {
        verifiedChain.first ?? SSL_get0_peer_certificate(ssl).flatMap { try? Certificate(sharing: $0) }
    }

    /// What the verification of the peer's certificate said against it.
    package var verifyError: String? { refusal?.detail }
}
