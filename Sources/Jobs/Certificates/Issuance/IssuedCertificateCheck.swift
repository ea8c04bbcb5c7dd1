import OpenSSL

/// What an EST answer must be before anything of it is used. Pure: decides by its values alone.
package struct IssuedCertificateCheck {
    /// A certificate may begin this much in the future: clocks differ.
    package static let skewLimit: Int64 = 300
    /// With less than this left it is no use to renew it.
    private static let shortestRest: Int64 = 5
    private static let longestLife: Int64 = 20 * 366 * 86_400

    package enum Verdict: Sendable {
        /// Leaf and intermediates, without the root.
        case accepted(TLSIdentity)
        /// Good, but only in so many seconds by our clock.
        case notYetValid(seconds: Int64)
        case refused(String)
    }

    private let wish: CertificateWish
    private let key: PrivateKey
    private let trust: TrustAnchors
    private let now: Int64

    package init(_ wish: CertificateWish, key: PrivateKey, trust: TrustAnchors, now: Int64) {
        self.wish = wish
        self.key = key
        self.trust = trust
        self.now = now
    }

    /// The certificates of an answer are a set: only its key tells which is ours, the others are hints for the chain
    /// (RFC 7030 §4.2.3).
    package func judge(_ answer: [Certificate]) -> Verdict {
        let own = answer.filter { key.matches($0) }
        guard let leaf = own.first else { return .refused("none of its certificates has the key of our request") }
        guard own.count == 1 else { return .refused("it has several certificates with the key of our request") }
        if leaf.isAuthority { return .refused("it is an authority's certificate (CA:TRUE)") }
        if let difference = wish.difference(from: leaf) { return .refused(difference) }
        if let flaw = flawInDates(leaf) { return .refused(flaw) }
        switch chain(leaf, hints: answer.filter { $0 != leaf }) {
        case .failure(let reason): return .refused(reason.text)
        case .success(let chain):
            // Dates last: everything else is known to be good, and time will mend this.
            // A whole second later, because OpenSSL's clock may be a tick behind ours (time(2), CLOCK_REALTIME_COARSE).
            guard leaf.notBefore < now else { return .notYetValid(seconds: leaf.notBefore - now + 1) }
            do {
                return .accepted(try TLSIdentity(chain: chain, key: key))
            } catch {
                return .refused("\(error)")
            }
        }
    }

    private func flawInDates(_ leaf: Certificate) -> String? {
        if leaf.notAfter <= leaf.notBefore { return "it ends before it begins" }
        if leaf.notAfter - leaf.notBefore > Self.longestLife { return "it is valid for more than 20 years" }
        if leaf.notAfter < now + Self.shortestRest { return "it has expired already, or is about to" }
        return nil
    }

    private struct Reason: Error { let text: String }

    private func chain(_ leaf: Certificate, hints: [Certificate]) -> Result<[Certificate], Reason> {
        var found: [Certificate] = []
        let purposes: [CertificatePurpose] = (wish.server ? [.server] : []) + (wish.client ? [.client] : [])
        for purpose in purposes {
            switch trust.verify(
                leaf: leaf, intermediates: hints, purpose: purpose, at: max(now, leaf.notBefore))
            {
            case .trusted(let chain): found = chain.filter { !$0.isSelfSigned }
            case .refused(let reason): return .failure(Reason(text: "its chain is not trusted: \(reason)"))
            }
        }
        return .success(found)
    }
}
