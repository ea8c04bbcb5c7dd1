import COpenSSL
import Glibc

/// What a server's verdict on a client rests on, as one generation: a ticket of another one resumes nothing.
package struct SessionMark: Sendable, Equatable {
    /// SHA-256 over all of it; OpenSSL's `session_id_context`.
    package let context: [UInt8]
    /// Changes with everything that the hash does not cover, too.
    package let epoch: UInt64

    package init(context: [UInt8], epoch: UInt64) {
        precondition(context.count == Int(SSL_MAX_SID_CTX_LENGTH), "the context of a session mark is a SHA-256")
        self.context = context
        self.epoch = epoch
    }
}

/// Whether a client has shown a ticket, and what became of it.
package enum TicketOutcome: String, Sendable {
    case none, resumed
    /// It had to prove itself anew.
    case declined
}

/// What a ticket says beside OpenSSL's own session, under the same seal.
struct TicketClaims: Equatable {
    private static let hashCount = 32
    private static let byteCount = 8 + 2 * hashCount + 8

    let epoch: UInt64
    /// Where the chain that was verified is to be found: OpenSSL keeps the client's certificate in a ticket, but none
    /// above it.
    let chain: VerifiedChains.Key
    /// SHA-256 of the client's certificate.
    let leaf: [UInt8]
    /// When the client has last proved that it has the key; seconds since 1970.
    let provenAt: Int64

    init(epoch: UInt64, chain: VerifiedChains.Key, leaf: [UInt8], provenAt: Int64) {
        (self.epoch, self.chain, self.leaf, self.provenAt) = (epoch, chain, leaf, provenAt)
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        func number(_ offset: Int) -> UInt64 { bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        epoch = number(0)
        chain = Array(bytes[8..<8 + Self.hashCount])
        leaf = Array(bytes[8 + Self.hashCount..<8 + 2 * Self.hashCount])
        provenAt = Int64(bitPattern: number(8 + 2 * Self.hashCount))
    }

    var bytes: [UInt8] {
        func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } }
        return bytes(epoch) + chain + leaf + bytes(UInt64(bitPattern: provenAt))
    }
}

/// How the sessions of a server are resumed where that is switched on: by tickets, never by a session cache.
///
/// A TLS 1.2 client that offers the identifier of a session without a ticket shakes hands in full. OpenSSL verifies
/// nothing when it resumes, so a ticket is judged here as its client was, and one that would not pass is declined: the
/// full handshake that follows gives the verdict and the alert.
enum SessionTickets {
    /// From the client's last proof of its key, however often it has resumed since (RFC 8446 §4.6.1).
    static let lifetime: Int64 = 3600
    /// That one ClientHello may have opened; each costs the parsing of a certificate.
    static let limit = 4

    static func install(in context: OpaquePointer) throws(OpenSSLError) {
        try TicketKeys.install(in: context)
        try openSSL("set up session tickets", isOne: { SSL_CTX_set_session_ticket_cb(context, state, judge, nil) })
        SSL_CTX_set_timeout(context, Int(lifetime))
        SSL_CTX_clear_options(context, COpenSSL_OP_NO_TICKET)
    }

    /// Before a ticket is sealed.
    private static let state: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { ssl, _ in
        guard let session = TLSSession.owner(of: ssl), let stored = SSL_get_session(ssl) else { return 0 }
        // None will be.
        guard let claims = session.ticketClaims, let end = session.ticketEnd else { return 1 }
        SSL_SESSION_set_timeout(stored, max(1, Int(end) - SSL_SESSION_get_time(stored)))
        let bytes = claims.bytes
        return SSL_SESSION_set1_ticket_appdata(stored, bytes, bytes.count)
    }

    /// After a ticket was opened, or not.
    private static let judge:
        @convention(c) (
            OpaquePointer?, OpaquePointer?, UnsafePointer<UInt8>?, Int, SSL_TICKET_STATUS, UnsafeMutableRawPointer?
        ) -> SSL_TICKET_RETURN = { ssl, stored, _, _, status, _ in
            guard let session = TLSSession.owner(of: ssl) else { return SSL_TICKET_RETURN_ABORT }
            if status == SSL_TICKET_EMPTY { return SSL_TICKET_RETURN_IGNORE_RENEW }
            let isOpen = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW
            guard session.accepts(isOpen ? stored : nil, at: Int64(time(nil))) else {
                return SSL_TICKET_RETURN_IGNORE_RENEW
            }
            // A ticket that is shown twice tells who listens that the same client comes again (RFC 8446 §C.4).
            let isRenewed = session.isTLS13 || status == SSL_TICKET_SUCCESS_RENEW
            return isRenewed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE
        }
}
