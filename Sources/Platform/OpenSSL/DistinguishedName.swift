import COpenSSL

/// The subject or issuer of a certificate, strictly read: only text that means the same to every reader is let in.
struct DistinguishedName: Sendable {
    /// RFC 2253 text, UTF-8 left as it is.
    let text: String
    let der: [UInt8]
    private(set) var commonNames: [String] = []
    private(set) var organizations: [String] = []
    private(set) var organizationalUnits: [String] = []

    init(_ name: OpaquePointer, of part: String) throws(OpenSSLError) {
        der = encoded { i2d_X509_NAME(name, $0) } ?? []
        let printed = MemoryBIO()
        X509_NAME_print_ex(printed.pointer, name, 0, COpenSSL_XN_FLAG_RFC2253_UTF8)
        text = printed.text()
        for index in 0..<X509_NAME_entry_count(name) {
            guard let entry = X509_NAME_get_entry(name, index), let data = X509_NAME_ENTRY_get_data(entry) else {
                continue
            }
            let value = try Self.text(data, of: part)
            switch OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) {
            case NID_commonName: commonNames.append(value)
            case NID_organizationName: organizations.append(value)
            case NID_organizationalUnitName: organizationalUnits.append(value)
            default: break
            }
        }
    }

    private static func text(_ data: UnsafePointer<ASN1_STRING>, of part: String) throws(OpenSSLError) -> String {
        // BMPString, UniversalString and TeletexString are readable in two ways: names that match for one reader
        // and not for another (CVE-2022-21656, CVE-2025-66220).
        switch ASN1_STRING_type(data) {
        case V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_IA5STRING, V_ASN1_NUMERICSTRING: break
        default: throw OpenSSLError("read the certificate's \(part)", "its text has an ambiguous type")
        }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(data), count: Int(ASN1_STRING_length(data)))
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw OpenSSLError("read the certificate's \(part)", "its text is not UTF-8")
        }
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw OpenSSLError("read the certificate's \(part)", "its text has control characters")
        }
        return text
    }
}
