import OpenSSL

/// What a listener holds its peers to: trust and rules, as one immutable generation.
///
/// A connection is judged under the one that its handshake had, and again when another takes its place.
struct Standing: Sendable {
    let generation: UInt64
    let trust: TrustAnchors
    let policy: AccessPolicy

    /// From this second on, since 1970, some certificate of the chain has expired (X509_cmp_time(3): at its end too).
    static func expiry(of chain: [Certificate]) -> Int64 { chain.map(\.notAfter).min() ?? .min }

    /// Why a peer that was let in must go now; nil while it may stay.
    func objection(to peer: AuthorizedPeer, _ chain: [Certificate], at unixSeconds: Int64) -> CloseReason? {
        guard let leaf = chain.first else { return .untrusted }
        let above = Array(chain.dropFirst())
        if unixSeconds >= Self.expiry(of: chain) { return .certificateExpired }
        guard case .trusted = trust.verify(leaf: leaf, intermediates: above, purpose: .client, at: unixSeconds) else {
            return .untrusted
        }
        let authorities = above.map { PeerAttributes($0) }
        guard case .allowed = policy.authorize(peer.attributes, intermediates: authorities) else { return .notAllowed }
        return nil
    }
}
