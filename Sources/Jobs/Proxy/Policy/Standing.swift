import OpenSSL

/// What a listener holds its peers to: trust with its revocation lists, deny lists and rules, as one immutable
/// generation. The peer of a tunnel is its remote end, for which there are no rules.
///
/// A connection is judged under the one that its handshake had, and again when another takes its place.
struct Standing: Sendable {
    let generation: UInt64
    let trust: TrustAnchors
    let policy: AccessPolicy
    var denyLists: [DenyList] = []
    /// Changes with the authorities alone, not with what they have revoked.
    var authorities: UInt64 = 0
    /// What the peer is: `server` at the far end of a tunnel.
    var purpose = CertificatePurpose.client
    /// What the tickets of its clients are bound to; nil: nobody resumes.
    var mark: SessionMark?

    /// From this second on, since 1970, some certificate of the chain has expired (X509_cmp_time(3): at its end too).
    static func expiry(of chain: [Certificate]) -> Int64 { chain.map(\.notAfter).min() ?? .min }

    /// Why a peer that was let in must go now; nil while it may stay.
    ///
    /// `verifiedUnder`: the authorities that have verified its chain before. If they are the same, only what they have
    /// revoked is looked at, which costs a hundredth of verifying again.
    func objection(
        to peer: PeerAttributes, _ chain: [Certificate], verifiedUnder authorities: UInt64? = nil, at unixSeconds: Int64
    ) -> CloseReason? {
        guard let leaf = chain.first else { return .untrusted }
        let above = Array(chain.dropFirst())
        if unixSeconds >= Self.expiry(of: chain) { return .certificateExpired }
        if isKnown(chain, under: authorities) {
            if let failure = trust.refusal(of: chain, at: unixSeconds) { return CloseReason(failure) }
        } else {
            let verdict = trust.judge(leaf: leaf, intermediates: above, purpose: purpose, at: unixSeconds)
            if case .failure(let failure) = verdict { return CloseReason(failure) }
        }
        let attributes = above.map { PeerAttributes($0) }
        if denyLists.contains(where: { $0.denial(of: peer, attributes) != nil }) { return .denied }
        if purpose == .server { return nil }
        guard case .allowed = policy.authorize(peer, intermediates: attributes) else { return .notAllowed }
        return nil
    }

    /// Why a remote end whose handshake is over gets no byte; nil if it does.
    func objection(toRemote chain: [Certificate], at unixSeconds: Int64) -> String? {
        if let failure = trust.refusal(ofVerified: chain, purpose: .server, at: unixSeconds) { return failure.detail }
        return denyLists.lazy.compactMap { $0.denial(of: chain) }.first.map { "deny list: \($0)" }
    }

    func isKnown(_ chain: [Certificate], under authorities: UInt64?) -> Bool {
        authorities == self.authorities && chain.last.map(trust.certificates.contains) == true
    }
}
