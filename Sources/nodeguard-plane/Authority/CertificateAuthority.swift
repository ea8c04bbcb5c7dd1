import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A certificate and the key that signs with it: the plane's root, or one cluster's intermediate.
struct CertificateAuthority: Sendable {
    let certificate: Certificate
    let der: [UInt8]
    private let key: SigningKey

    static let rootLifetime: Int64 = 10 * 365 * 86_400
    static let intermediateLifetime: Int64 = 5 * 365 * 86_400
    /// Clocks of a fleet differ a little; a certificate from the future is refused everywhere.
    static let backdating: Int64 = 30

    init(certificate: Certificate, key: SigningKey) throws {
        self.certificate = certificate
        self.key = key
        der = try DER.encode(certificate)
    }

    /// `file`: for a key that is not in a token.
    func keepKey(in file: String) throws -> KeyPlace { try key.keep(in: file) }

    /// In PEM; nil: it is in a token.
    var keyText: String? { key.text }

    /// `named`: as its predecessor; nil: after its key.
    static func makeRoot(
        _ key: SigningKey, named known: DistinguishedName? = nil, now: Int64
    ) throws -> CertificateAuthority {
        let publicKey = key.publicKey
        let name =
            try known
            ?? DistinguishedName {
                OrganizationName("nodeguard")
                CommonName("nodeguard root \(Hex.lower(publicKey.digest.prefix(4)))")
            }
        let certificate = try Certificate(
            version: .v3, serialNumber: randomSerial(), publicKey: publicKey,
            notValidBefore: date(now - backdating), notValidAfter: date(now + rootLifetime), issuer: name,
            subject: name,
            extensions: authorityExtensions(publicKey: publicKey, issuer: publicKey, pathLength: 1),
            issuerPrivateKey: key.certificateKey)
        return try CertificateAuthority(certificate: certificate, key: key)
    }

    /// `key`: the intermediate's.
    func makeIntermediate(_ key: SigningKey, cluster: String, now: Int64) throws -> CertificateAuthority {
        let publicKey = key.publicKey
        let issued = try Certificate(
            version: .v3, serialNumber: Self.randomSerial(), publicKey: publicKey,
            notValidBefore: Self.date(now - Self.backdating),
            notValidAfter: min(Self.date(now + Self.intermediateLifetime), certificate.notValidAfter),
            issuer: certificate.subject,
            subject: try DistinguishedName {
                OrganizationName("nodeguard")
                OrganizationalUnitName(cluster)
                CommonName("issuing authority \(Hex.lower(publicKey.digest.prefix(4)))")
            },
            extensions: Self.authorityExtensions(
                publicKey: publicKey, issuer: certificate.publicKey, pathLength: 0),
            issuerPrivateKey: self.key.certificateKey)
        return try CertificateAuthority(certificate: issued, key: key)
    }

    func issue(_ profile: CertificateProfile, now: Int64) throws -> Certificate {
        var extensions = [
            try Certificate.Extension(BasicConstraints.notCertificateAuthority, critical: true),
            try Certificate.Extension(
                KeyUsage(digitalSignature: true, keyEncipherment: profile.keyEncipherment), critical: true),
            try profile.otherUsage
                ?? Certificate.Extension(
                    ExtendedKeyUsage(profile.usages.sorted().map(\.extendedKeyUsage)), critical: false),
            try Certificate.Extension(SubjectKeyIdentifier(hash: profile.publicKey), critical: false),
            try Certificate.Extension(authorityKeyIdentifier, critical: false),
        ]
        if let names = profile.alternativeNames {
            // RFC 5280 §4.2.1.6: critical when the subject is empty.
            extensions.append(
                Certificate.Extension(oid: names.oid, critical: profile.subject.isEmpty, value: names.value))
        }
        return try Certificate(
            version: .v3, serialNumber: Self.randomSerial(), publicKey: profile.publicKey,
            notValidBefore: max(Self.date(now - Self.backdating), certificate.notValidBefore),
            notValidAfter: min(Self.date(now + profile.lifetime), certificate.notValidAfter),
            issuer: certificate.subject, subject: profile.subject, extensions: Certificate.Extensions(extensions),
            issuerPrivateKey: key.certificateKey)
    }

    /// ECDSA with SHA-256, DER, for what swift-certificates has no type for (revocation lists).
    func sign(_ bytes: [UInt8]) throws -> [UInt8] { try key.sign(bytes) }

    var authorityKeyIdentifier: AuthorityKeyIdentifier {
        AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier)
    }

    var pem: String { certificate.pemText }

    var signingKey: Certificate.PrivateKey { key.certificateKey }

    static func authorityExtensions(
        publicKey: Certificate.PublicKey, issuer: Certificate.PublicKey, pathLength: Int
    ) throws -> Certificate.Extensions {
        try Certificate.Extensions([
            Certificate.Extension(BasicConstraints.isCertificateAuthority(maxPathLength: pathLength), critical: true),
            Certificate.Extension(KeyUsage(keyCertSign: true, cRLSign: true), critical: true),
            Certificate.Extension(SubjectKeyIdentifier(hash: publicKey), critical: false),
            Certificate.Extension(
                AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: issuer).keyIdentifier), critical: false
            ),
        ])
    }

    /// 128 bits, positive and of full length, so that the text form has a fixed width.
    static func randomSerial() -> Certificate.SerialNumber {
        var bytes = RandomBytes.make(16)
        bytes[0] = bytes[0] & 0x7F | 0x40
        return Certificate.SerialNumber(bytes: bytes)
    }

    private static func date(_ seconds: Int64) -> Date { Date(timeIntervalSince1970: TimeInterval(seconds)) }
}

/// What a leaf certificate is to say; only `IssuancePolicy` and the operator's own verbs make one.
struct CertificateProfile: Sendable {
    let subject: DistinguishedName
    let publicKey: Certificate.PublicKey
    /// RSA keys may also be asked to decrypt (TLS 1.2 with RSA key exchange is off, but old drivers check the bit).
    let keyEncipherment: Bool
    let alternativeNames: Certificate.Extension?
    let usages: Set<CertificateUsage>
    let lifetime: Int64
    /// An extended key usage of another kind, instead of `usages`.
    var otherUsage: Certificate.Extension?
}

enum CertificateUsage: String, Sendable, CaseIterable, Comparable {
    case client, server

    var extendedKeyUsage: ExtendedKeyUsage.Usage {
        switch self {
        case .client: .clientAuth
        case .server: .serverAuth
        }
    }

    static func < (left: CertificateUsage, right: CertificateUsage) -> Bool { left.rawValue < right.rawValue }
}

extension Certificate.PublicKey {
    /// SHA-256 of the SubjectPublicKeyInfo in DER (`subjectPublicKeyInfoBytes` is only the key in it). The plane's own
    /// keys are all of this kind; of another it is empty, which fits nothing.
    var digest: [UInt8] { P256.Signing.PublicKey(self).map { Array(SHA256.hash(data: $0.derRepresentation)) } ?? [] }
}

extension Certificate {
    var publicKeyDigest: [UInt8] { publicKey.digest }

    /// As join bundles have it.
    var pin: String { "sha256:" + Hex.lower(publicKeyDigest) }

    var serialText: String { Hex.upper(serialNumber.bytes) }

    var derBytes: [UInt8] {
        get throws { try DER.encode(self) }
    }

    var pemText: String {
        let text = (try? serializeAsPEM().pemString) ?? ""
        return text.hasSuffix("\n") ? text : text + "\n"
    }

    var notBeforeSeconds: Int64 { Int64(notValidBefore.timeIntervalSince1970) }
    var notAfterSeconds: Int64 { Int64(notValidAfter.timeIntervalSince1970) }
}

extension DER {
    static func encode(_ element: some DERSerializable) throws -> [UInt8] {
        var serializer = Serializer()
        try serializer.serialize(element)
        return serializer.serializedBytes
    }
}
