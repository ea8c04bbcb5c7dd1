/// Which certificates of a chain are looked up in their authorities' lists, and what a list is worth after its time.
package struct RevocationRules: Sendable, Equatable {
    package enum Depth: String, Sendable, CaseIterable {
        case leaf
        /// Every certificate below the trust anchor.
        case chain
    }

    package enum Freshness: Sendable, Equatable {
        /// Nothing: nobody is let in.
        case strict
        /// As much as before, for so long.
        case grace(seconds: Int64)
        /// As much as before.
        case lastKnown
    }

    package var depth: Depth
    package var freshness: Freshness

    package init(depth: Depth = .chain, freshness: Freshness = .strict) {
        self.depth = depth
        self.freshness = freshness
    }

    /// From this second on the list lets nobody in; nil: never.
    package func end(of list: RevocationList) -> Int64? {
        switch freshness {
        case .strict: list.nextUpdate
        case .grace(let seconds): list.nextUpdate.addingReportingOverflow(seconds).partialValue
        case .lastKnown: nil
        }
    }
}

/// Lists and the rules for them, as one immutable part of `TrustAnchors`.
///
/// A certificate whose authority has no list here is refused. The anchor, which is trusted because the operator says
/// so, is looked up only where an authority that is trusted as well has signed a list about it.
package struct Revocation: Sendable {
    /// The newest of each origin, newest first.
    package let lists: [RevocationList]
    package let rules: RevocationRules
    /// Beside the anchors: who may have signed a list about one of them. Trusted for nothing else.
    private let signers: [Certificate]

    package init(_ lists: [RevocationList], _ rules: RevocationRules, signers: [Certificate] = []) {
        var newest: [RevocationList.Origin: RevocationList] = [:]
        for list in lists {
            if let known = newest[list.origin], !known.isOlder(than: list) { continue }
            newest[list.origin] = list
        }
        self.lists = newest.values.sorted {
            $0.thisUpdate == $1.thisUpdate
                ? $0.fingerprint.lexicographicallyPrecedes($1.fingerprint) : $0.thisUpdate > $1.thisUpdate
        }
        self.rules = rules
        self.signers = signers
    }

    /// When a list has begun to let nobody in, the last one before or at `unixSeconds`: what was verified earlier must
    /// be judged again. nil: none has.
    package func lastEnd(at unixSeconds: Int64) -> Int64? {
        lists.compactMap(rules.end).filter { $0 <= unixSeconds }.max()
    }

    /// `chain`: verified, leaf first, anchor last. `anchors`: all that are trusted.
    func refusal(of chain: [Certificate], under anchors: [Certificate], at unixSeconds: Int64) -> TLSFailure? {
        let concerned = rules.depth == .leaf ? chain.dropLast().prefix(1) : chain.dropLast()
        if concerned.isEmpty { return TLSFailure(.revocationUnknown, "there is no chain to look up") }
        for (certificate, authority) in zip(concerned, chain.dropFirst()) {
            if let refusal = refusal(of: certificate, issuedBy: authority, at: unixSeconds) { return refusal }
        }
        guard rules.depth == .chain, let anchor = chain.last, !anchor.isSelfSigned else { return nil }
        // A file of root and intermediate ends chains at the intermediate, which the root may have revoked.
        let above = (anchors + signers).first { authority in
            authority.subjectDER == anchor.issuerDER
                && lists.contains { $0.concerns(anchor) && $0.isSigned(by: authority) }
        }
        return above.flatMap { refusal(of: anchor, issuedBy: $0, at: unixSeconds) }
    }

    private func refusal(
        of certificate: Certificate, issuedBy authority: Certificate, at unixSeconds: Int64
    ) -> TLSFailure? {
        let candidates = lists.filter { $0.concerns(certificate) }
        guard let list = candidates.first(where: { $0.isSigned(by: authority) }) else {
            return TLSFailure(
                .revocationUnknown,
                candidates.isEmpty
                    ? "there is no CRL of \(certificate.issuer)"
                    : "the CRL of \(certificate.issuer) is not signed by the authority of this chain")
        }
        switch list.contains(certificate) {
        case true?:
            let who = certificate.isAuthority ? "authority \(certificate.subject)" : "certificate"
            return TLSFailure(.revoked, "the \(who) is revoked (serial \(certificate.serial), \(list))")
        case nil: return TLSFailure(.revocationUnknown, "the serial number of \(certificate.subject) is too long")
        case false?: break
        }
        if unixSeconds < list.thisUpdate { return TLSFailure(.revocationUnknown, "the \(list) is not valid yet") }
        if let end = rules.end(of: list), unixSeconds >= end {
            return TLSFailure(.revocationUnknown, "the \(list) has expired")
        }
        return nil
    }
}
