import COpenSSL
import Glibc

/// An immutable X.509 certificate whose names and extensions were strictly read when it was made.
///
/// Names with NUL, control characters, ambiguous or invalid text and repeated extensions are refused, so whoever holds
/// a `Certificate` may match its names byte for byte.
package final class Certificate: Sendable {
    /// OpenSSL's counted `X509`; never changed after `init`.
    nonisolated(unsafe) let pointer: OpaquePointer
    package let der: [UInt8]
    /// "0A:1B", upper-case hexadecimal.
    package let serial: String
    /// Seconds since 1970.
    package let notBefore: Int64
    package let notAfter: Int64
    /// SHA-256 of the SubjectPublicKeyInfo.
    package let publicKeySHA256: [UInt8]
    /// SHA-256 of the whole certificate.
    package let fingerprint: [UInt8]
    package let isAuthority: Bool
    package let isSelfSigned: Bool
    /// Object identifiers as dotted text.
    package let extendedKeyUsages: [String]
    package let keyUsage: KeyUsage?
    package let keyKind: CertificateKeyKind
    package let keyBits: Int
    private let subjectName: DistinguishedName
    private let issuerName: DistinguishedName
    private let alternativeNames: AlternativeNames

    static let sizeLimit = 64 << 10

    package convenience init(der: [UInt8]) throws(OpenSSLError) {
        guard der.count <= Self.sizeLimit else { throw OpenSSLError("read a certificate", "it is too large") }
        let pointer: OpaquePointer = try openSSL("read a certificate") { () -> OpaquePointer? in
            der.withUnsafeBufferPointer { bytes in
                var next = bytes.baseAddress
                let parsed = d2i_X509(nil, &next, bytes.count)
                guard let parsed, next == bytes.baseAddress.map({ $0 + bytes.count }) else {
                    X509_free(parsed)
                    return nil
                }
                return parsed
            }
        }
        try self.init(adopting: CertificateOwner(adopting: pointer))
        // OpenSSL also takes BER around what is signed: one certificate would have many fingerprints.
        guard self.der == der else { throw OpenSSLError("read a certificate", "it is not in DER") }
    }

    /// Reads what OpenSSL has parsed; takes a reference of its own.
    convenience init(sharing pointer: OpaquePointer) throws(OpenSSLError) {
        X509_up_ref(pointer)
        try self.init(adopting: CertificateOwner(adopting: pointer))
    }

    private init(adopting owner: consuming CertificateOwner) throws(OpenSSLError) {
        let fields = try CertificateFields(owner.pointer)
        der = fields.der
        serial = fields.serial
        notBefore = fields.notBefore
        notAfter = fields.notAfter
        publicKeySHA256 = fields.publicKeySHA256
        fingerprint = Digest.sha256(fields.der)
        isAuthority = fields.flags & UInt32(EXFLAG_CA) != 0
        isSelfSigned = X509_self_signed(owner.pointer, 1) == 1
        extendedKeyUsages = fields.extendedKeyUsages
        keyUsage = fields.keyUsage
        keyKind = fields.keyKind
        keyBits = fields.keyBits
        subjectName = fields.subject
        issuerName = fields.issuer
        alternativeNames = fields.alternativeNames
        ErrorStack.clear()
        pointer = owner.release()
    }

    deinit { X509_free(pointer) }

    /// RFC 2253 text.
    package var subject: String { subjectName.text }
    package var issuer: String { issuerName.text }
    package var subjectDER: [UInt8] { subjectName.der }
    package var issuerDER: [UInt8] { issuerName.der }
    package var commonNames: [String] { subjectName.commonNames }
    package var organizations: [String] { subjectName.organizations }
    package var organizationalUnits: [String] { subjectName.organizationalUnits }
    package var dnsNames: [String] { alternativeNames.dnsNames }
    package var uris: [String] { alternativeNames.uris }
    package var emails: [String] { alternativeNames.emails }
    package var addresses: [[UInt8]] { alternativeNames.addresses }
    package var subjectAlternativeNameDER: [UInt8]? { alternativeNames.der }

    package var pem: String {
        let output = MemoryBIO()
        PEM_write_bio_X509(output.pointer, pointer)
        return output.text()
    }

    /// OpenSSL's short name of how it was signed, such as "ecdsa-with-SHA256"; nil if it has none.
    package var signatureAlgorithm: String? {
        OBJ_nid2sn(X509_get_signature_nid(pointer)).map { String(cString: $0) }
    }

    package var allowsClientAuthentication: Bool { extendedKeyUsages.contains("1.3.6.1.5.5.7.3.2") }
    package var allowsServerAuthentication: Bool { extendedKeyUsages.contains("1.3.6.1.5.5.7.3.1") }
}

extension Certificate: Hashable, CustomStringConvertible {
    package static func == (one: Certificate, other: Certificate) -> Bool {
        one === other || one.fingerprint == other.fingerprint
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
    package var description: String { "\(subject) (serial \(serial))" }
}

/// RFC 5280 §4.2.1.3.
package struct KeyUsage: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let digitalSignature = KeyUsage(rawValue: 0x80)
    package static let keyEncipherment = KeyUsage(rawValue: 0x20)
    package static let keyAgreement = KeyUsage(rawValue: 0x08)
    package static let certificateSigning = KeyUsage(rawValue: 0x04)
    package static let listSigning = KeyUsage(rawValue: 0x02)
}

package enum CertificateKeyKind: String, Sendable {
    case ellipticCurve = "EC"
    case rsa = "RSA"
    case ed25519 = "Ed25519"
    case other
}

/// A reference to an `X509` while it is being read: dropped unless released.
struct CertificateOwner: ~Copyable {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }

    consuming func release() -> OpaquePointer {
        let pointer = pointer
        discard self
        return pointer
    }
}
