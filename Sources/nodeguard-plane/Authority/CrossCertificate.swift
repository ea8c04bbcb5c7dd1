import FoundationEssentials
import SwiftASN1
import X509

extension CertificateAuthority {
    /// The root that is to follow this one: another key under the same name. With it a cross certificate is
    /// self-issued, which path lengths do not count (RFC 5280 §4.2.1.9): this root's certificate allows for one
    /// intermediate and no more.
    func makeSuccessor(_ key: SigningKey, now: Int64) throws -> CertificateAuthority {
        try Self.makeRoot(key, named: certificate.subject, now: now)
    }

    /// This root's word for the key of another: NewWithOld if that is the newer one, else OldWithNew (RFC 4210 §4.4).
    /// Who trusts this root alone can build chains of the other's certificates with it.
    func certify(_ other: CertificateAuthority, now: Int64) throws -> [UInt8] {
        let key = other.certificate.publicKey
        let begin = max(certificate.notValidBefore, other.certificate.notValidBefore)
        let cross = try Certificate(
            version: .v3, serialNumber: Self.randomSerial(), publicKey: key, notValidBefore: begin,
            notValidAfter: min(certificate.notValidAfter, other.certificate.notValidAfter),
            issuer: certificate.subject, subject: other.certificate.subject,
            extensions: Self.authorityExtensions(publicKey: key, issuer: certificate.publicKey, pathLength: 1),
            issuerPrivateKey: signingKey)
        return try DER.encode(cross)
    }
}
