import COpenSSL
import Glibc

/// The fields of one `X509`, read once.
struct CertificateFields {
    let der: [UInt8]
    let serial: String
    let subject: DistinguishedName
    let issuer: DistinguishedName
    let alternativeNames: AlternativeNames
    let notBefore: Int64
    let notAfter: Int64
    let publicKeySHA256: [UInt8]
    let flags: UInt32
    let keyUsage: KeyUsage?
    let extendedKeyUsages: [String]
    let keyKind: CertificateKeyKind
    let keyBits: Int

    init(_ pointer: OpaquePointer) throws(OpenSSLError) {
        try Self.refuseRepeatedExtensions(pointer)
        flags = X509_get_extension_flags(pointer)
        guard flags & UInt32(EXFLAG_INVALID) == 0 else { throw Self.refusal("an extension cannot be decoded") }
        guard let der = encoded({ i2d_X509(pointer, $0) }), let subject = X509_get_subject_name(pointer),
            let issuer = X509_get_issuer_name(pointer),
            let publicKey = encoded({ i2d_X509_PUBKEY(X509_get_X509_PUBKEY(pointer), $0) })
        else { throw OpenSSLError(stackAfter: "read a certificate") }
        self.der = der
        self.subject = try DistinguishedName(subject, of: "subject")
        self.issuer = try DistinguishedName(issuer, of: "issuer")
        alternativeNames = try AlternativeNames(of: pointer)
        serial = try Self.serial(pointer)
        notBefore = try Self.seconds(X509_get0_notBefore(pointer))
        notAfter = try Self.seconds(X509_get0_notAfter(pointer))
        publicKeySHA256 = Digest.sha256(publicKey)
        keyUsage =
            flags & UInt32(EXFLAG_KUSAGE) == 0 ? nil : KeyUsage(rawValue: X509_get_key_usage(pointer))
        extendedKeyUsages = try Self.extendedKeyUsages(pointer)
        guard let key = X509_get0_pubkey(pointer) else { throw Self.refusal("its public key is unknown") }
        keyKind =
            switch EVP_PKEY_get_base_id(key) {
            case EVP_PKEY_EC: .ellipticCurve
            case EVP_PKEY_RSA: .rsa
            case EVP_PKEY_ED25519: .ed25519
            default: .other
            }
        keyBits = Int(EVP_PKEY_get_bits(key))
    }

    /// RFC 5280 §4.2: "A certificate MUST NOT include more than one instance of a particular extension."
    private static func refuseRepeatedExtensions(_ pointer: OpaquePointer) throws(OpenSSLError) {
        var seen: Set<String> = []
        for index in 0..<max(0, X509_get_ext_count(pointer)) {
            guard let name = objectIdentifier(X509_EXTENSION_get_object(X509_get_ext(pointer, index))) else {
                throw refusal("an extension has no name")
            }
            guard seen.insert(name).inserted else { throw refusal("extension \(name) is there twice") }
        }
    }

    /// A negative one would read as its positive twin in rules, deny lists and events (RFC 5280 §4.1.2.2 forbids it).
    private static func serial(_ pointer: OpaquePointer) throws(OpenSSLError) -> String {
        guard let number = X509_get0_serialNumber(pointer) else { return "00" }
        guard ASN1_STRING_type(number) != V_ASN1_NEG_INTEGER else { throw refusal("its serial number is negative") }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number)))
        let digits = bytes.map { byte in
            let text = String(byte, radix: 16, uppercase: true)
            return byte < 16 ? "0\(text)" : text
        }
        return digits.isEmpty ? "00" : digits.joined(separator: ":")
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) throws(OpenSSLError) -> Int64 {
        guard let seconds = unixSeconds(time) else { throw refusal("a date cannot be decoded") }
        return seconds
    }

    private static func extendedKeyUsages(_ pointer: OpaquePointer) throws(OpenSSLError) -> [String] {
        guard let decoded = X509_get_ext_d2i(pointer, NID_ext_key_usage, nil, nil) else {
            guard X509_get_ext_by_NID(pointer, NID_ext_key_usage, -1) < 0 else {
                throw refusal("its extended key usage cannot be decoded")
            }
            return []
        }
        let usages = OpaquePointer(decoded)
        defer { COpenSSL_sk_ASN1_OBJECT_free(usages) }
        return (0..<COpenSSL_sk_ASN1_OBJECT_num(usages)).compactMap {
            objectIdentifier(COpenSSL_sk_ASN1_OBJECT_value(usages, $0))
        }
    }

    private static func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read a certificate", reason) }
}

/// Dotted text of an object identifier; nil when it is longer than any sensible one.
func objectIdentifier(_ object: OpaquePointer?) -> String? {
    guard let object else { return nil }
    var text = [CChar](repeating: 0, count: 128)
    let length = OBJ_obj2txt(&text, Int32(text.count), object, 1)
    guard length > 0, length < text.count else { return nil }
    return String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Seconds since 1970; nil for what is no date.
func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    var parts = tm()
    guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
    return Int64(timegm(&parts))
}
