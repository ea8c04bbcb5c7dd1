import OpenSSL

/// Which of the certificates that a plane hands out are trusted. Pure.
package enum PlaneTrust {
    private static let limit = 32

    /// The self-signed roots whose key is pinned. A root that only claims to be self-signed is none: OpenSSL does not
    /// look at the signature of an anchor (X509_verify_cert(3), X509_V_FLAG_CHECK_SS_SIGNATURE).
    package static func pinnedRoots(among certificates: [Certificate], pins: [String]) -> [Certificate] {
        let wanted = Set(pins.map { $0.lowercased() })
        return certificates.filter { $0.isAuthority && $0.isSelfSigned && wanted.contains(pin(of: $0)) }
    }

    /// Authorities that help to build a chain, and prove nothing: a plane may hand out any.
    package static func hints(among certificates: [Certificate]) -> [Certificate] {
        certificates.filter { $0.isAuthority && !$0.isSelfSigned }.prefix(limit).map { $0 }
    }

    /// What is trusted, with pinned roots and with intermediates of a chain that was verified up to a root: listeners
    /// may take an intermediate as an anchor, so none comes in on the plane's word alone. Nothing is taken away but
    /// what has expired, because a certificate in service may still need it.
    package static func extended(
        _ current: [Certificate], roots: [Certificate] = [], verifiedChain: [Certificate] = [], now: Int64
    ) -> [Certificate] {
        let allRoots = (current + roots).filter(\.isSelfSigned)
        let intermediates = (current + verifiedChain).filter {
            // A word for another root reaches as far as that root: to other clusters too.
            $0.isAuthority && !$0.isSelfSigned && !$0.isSelfIssued && $0.notAfter > now
        }
        var seen: Set<Certificate> = []
        let newestFirst = intermediates.sorted { $0.notAfter > $1.notAfter }
        return (allRoots + newestFirst).filter { seen.insert($0).inserted }.prefix(limit).map { $0 }
    }

    package static func pin(of certificate: Certificate) -> String {
        "sha256:" + Hexadecimal.text(certificate.publicKeySHA256)
    }
}

enum Hexadecimal {
    static func text(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
