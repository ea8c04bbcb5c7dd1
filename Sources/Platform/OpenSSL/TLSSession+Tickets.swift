import COpenSSL
import Glibc

/// What one session of a server that resumes knows of tickets.
struct TicketState {
    let mark: SessionMark
    /// Of the chain that this handshake has verified.
    fileprivate(set) var proven: TicketClaims?
    /// Of the ticket that was judged last, if it was found good. Counts only if OpenSSL then resumes.
    fileprivate(set) var accepted: (claims: TicketClaims, chain: [Certificate])?
    fileprivate(set) var shownCount = 0

    /// nil, and then the session takes and gives no ticket, without a mark, or where nothing is resumed.
    init?(_ mark: SessionMark?, of ssl: OpaquePointer, _ context: TLSContext) {
        guard context.ticketKeys != nil else { return nil }
        guard let mark, SSL_set_session_id_context(ssl, mark.context, UInt32(mark.context.count)) == 1 else {
            SSL_set_options(ssl, COpenSSL_OP_NO_TICKET)
            return nil
        }
        self.mark = mark
    }
}

extension TLSSession {
    /// The session that OpenSSL calls back for.
    static func owner(of ssl: OpaquePointer?) -> TLSSession? {
        guard let ssl, let owner = SSL_get_ex_data(ssl, 0) else { return nil }
        return Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
    }

    /// OpenSSL parses the certificate in a ticket, to open it and to seal it, with the library context that is the
    /// thread's default (SSL_SESSION has none of its own): among all of the decoders there, that costs more than a
    /// resumed handshake spares.
    func stepOfHandshake() -> Int32 {
        guard tickets != nil, let library = context.library else { return SSL_do_handshake(ssl) }
        let before = OSSL_LIB_CTX_set0_default(library)
        defer { OSSL_LIB_CTX_set0_default(before) }
        return SSL_do_handshake(ssl)
    }

    var isTLS13: Bool { SSL_version(ssl) == TLS1_3_VERSION }

    /// Meaningful once the handshake is over.
    package var ticketOutcome: TicketOutcome {
        if SSL_session_reused(ssl) == 1 { return .resumed }
        return tickets.map { $0.shownCount > 0 } == true ? .declined : .none
    }

    var mayShowTicket: Bool { tickets.map { $0.shownCount < SessionTickets.limit } == true }

    /// What a ticket would say now; nil: this client gets none.
    var ticketClaims: TicketClaims? {
        SSL_session_reused(ssl) == 1 ? tickets?.accepted?.claims : tickets?.proven
    }

    /// From this second on a ticket for this client resumes nothing; nil: it gets none.
    var ticketEnd: Int64? {
        guard let claims = ticketClaims else { return nil }
        let chain = SSL_session_reused(ssl) == 1 ? resumedChain : peerChain
        return chain.map(\.notAfter).min().map { min($0, claims.provenAt + SessionTickets.lifetime) }
    }

    /// Of the ticket with which OpenSSL has resumed; empty unless it is the one that was found good.
    var resumedChain: [Certificate] {
        guard let chain = tickets?.accepted?.chain, let leaf = chain.first, let peer = SSL_get0_peer_certificate(ssl),
            X509_cmp(leaf.pointer, peer) == 0
        else { return [] }
        return chain
    }

    /// The client's chain was found good, under this key of `VerifiedChains`; only now may it get a ticket.
    func proved(_ chain: [Certificate], _ key: VerifiedChains.Key, at unixSeconds: Int64) {
        guard let mark = tickets?.mark, let leaf = chain.first else { return }
        tickets?.proven = TicketClaims(epoch: mark.epoch, chain: key, leaf: leaf.fingerprint, provenAt: unixSeconds)
        SSL_set_num_tickets(ssl, 1)
    }

    /// Whether the handshake that begins may resume this session; nil: the ticket could not be opened.
    func accepts(_ stored: OpaquePointer?, at unixSeconds: Int64) -> Bool {
        guard let mark = tickets?.mark else { return false }
        tickets?.shownCount += 1
        tickets?.accepted = nil
        guard let stored, Self.context(of: stored) == mark.context, let claims = Self.claims(of: stored),
            claims.epoch == mark.epoch, isInTime(claims, at: unixSeconds),
            let leaf = SSL_SESSION_get0_peer(stored), let der = encoded({ i2d_X509(leaf, $0) }),
            Digest.sha256(der) == claims.leaf,
            let chain = context.verifiedChains.chain(claims.chain, at: unixSeconds),
            chain.first?.fingerprint == claims.leaf, let trust = context.trust,
            trust.refusal(ofVerified: chain, purpose: .client, at: unixSeconds) == nil
        else { return false }
        tickets?.accepted = (claims, chain)
        SSL_set_num_tickets(ssl, 1)
        return true
    }

    private func isInTime(_ claims: TicketClaims, at unixSeconds: Int64) -> Bool {
        let (age, isTooLarge) = unixSeconds.subtractingReportingOverflow(claims.provenAt)
        return !isTooLarge && (0..<SessionTickets.lifetime).contains(age)
    }

    private static func context(of stored: OpaquePointer) -> [UInt8] {
        var count: UInt32 = 0
        let start = SSL_SESSION_get0_id_context(stored, &count)
        return Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }

    private static func claims(of stored: OpaquePointer) -> TicketClaims? {
        var start: UnsafeMutableRawPointer?
        var count = 0
        guard SSL_SESSION_get0_ticket_appdata(stored, &start, &count) == 1 else { return nil }
        return TicketClaims(Array(UnsafeRawBufferPointer(start: start, count: count)))
    }
}
