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

    /// What is trusted, with what a verified plane added: intermediates, and roots with a pinned key. Nothing is taken
    /// away but what has expired, because a certificate in service may still need it.
    package static func merged(
        _ current: [Certificate], with fetched: [Certificate], pins: [String], now: Int64
    ) -> [Certificate] {
        let roots = current.filter(\.isSelfSigned) + pinnedRoots(among: fetched, pins: pins)
        let others = (current + fetched).filter { certificate in
            certificate.isAuthority && !certificate.isSelfSigned
                && certificate.subjectDER != certificate.issuerDER && certificate.notAfter > now
        }
        var seen: Set<Certificate> = []
        let newestFirst = others.sorted { $0.notAfter > $1.notAfter }
        return (roots + newestFirst).filter { seen.insert($0).inserted }.prefix(limit).map { $0 }
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
