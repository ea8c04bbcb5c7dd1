import OpenSSL

/// How what a node trusts follows a change of its plane's root (RFC 7030 §4.1.3, RFC 4210 §4.4). Pure.
///
/// The pinned root stays the beginning of all trust: another root comes in only by the word of one that is trusted (a
/// cross certificate, NewWithOld), and one is given up only for another that it has vouched for itself. A plane alone,
/// whoever has come to speak for it, can do neither.
package struct Succession: Sendable {
    /// Roots first.
    package let anchors: [Certificate]
    /// Of the roots, as in a join bundle.
    package let pins: [String]
    /// Words of trusted roots for trusted roots: who trusts only the first builds chains with them.
    package let crossCertificates: [Certificate]

    /// `offered`: what a verified plane hands out.
    package init(of current: [Certificate], pins: [String], offered: [Certificate], now: Int64) {
        let words = offered.filter { $0.isSelfIssued && $0.notBefore <= now && now < $0.notAfter }
        let offeredRoots = PlaneTrust.pinnedRoots(among: offered, pins: offered.map(PlaneTrust.pin))
        let before = current.filter(\.isSelfSigned) + PlaneTrust.pinnedRoots(among: offered, pins: pins)
        let vouched = offeredRoots.filter { root in
            words.contains { word in word.isFor(root) && before.contains(where: word.isIssued) }
        }
        let all = Self.unique(before + vouched)
        let left = all.filter { root in
            offeredRoots.contains(root)
                || !words.contains { word in
                    word.isIssued(by: root) && offeredRoots.contains { word.isFor($0) && all.contains($0) }
                }
        }
        let gone = all.filter { !left.contains($0) }
        let own = current.filter { !$0.isSelfSigned && !$0.isSelfIssued }
        let successors = offered.filter { candidate in
            candidate.isAuthority && !candidate.isSelfSigned && !candidate.isSelfIssued
                && own.contains(where: candidate.isOfFamily) && left.contains(where: candidate.isIssued)
        }
        let intermediates = (own + successors).filter { one in
            now < one.notAfter && !gone.contains(where: one.isIssued)
        }
        anchors = PlaneTrust.extended(left, verifiedChain: intermediates, now: now)
        let former = Set(gone.map(PlaneTrust.pin))
        let kept = pins.filter { !former.contains($0.lowercased()) }
        self.pins = kept + left.map(PlaneTrust.pin).filter { pin in !kept.contains { $0.lowercased() == pin } }
        crossCertificates = words.filter { word in
            left.contains(where: word.isIssued) && left.contains(where: word.isFor)
        }
    }

    /// The chain as it is shown: with the word of the other trusted root, as long as there is one, so that who trusts
    /// only that can verify it.
    package static func shown(_ chain: [Certificate], _ crossCertificates: [Certificate]) -> [Certificate] {
        guard let last = chain.last, let word = crossCertificates.first(where: last.isIssued) else { return chain }
        return chain.contains(word) ? chain : chain + [word]
    }

    private static func unique(_ certificates: [Certificate]) -> [Certificate] {
        var seen: Set<Certificate> = []
        return certificates.filter { seen.insert($0).inserted }
    }
}

extension Certificate {
    fileprivate func isFor(_ root: Certificate) -> Bool {
        subjectDER == root.subjectDER && publicKeySHA256 == root.publicKeySHA256
    }

    /// Whether both say to be authorities of the same unit: the root tells clusters apart by that.
    fileprivate func isOfFamily(_ other: Certificate) -> Bool {
        !organizationalUnits.isEmpty && organizationalUnits == other.organizationalUnits
            && organizations == other.organizations
    }
}
