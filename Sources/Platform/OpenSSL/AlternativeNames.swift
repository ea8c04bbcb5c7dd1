import COpenSSL

/// The typed subject alternative names of a certificate, taken by their DER lengths.
struct AlternativeNames: Sendable {
    private(set) var dnsNames: [String] = []
    private(set) var uris: [String] = []
    private(set) var emails: [String] = []
    /// 4 or 16 bytes each.
    private(set) var addresses: [[UInt8]] = []
    /// The extension's value as it stands in the certificate.
    let der: [UInt8]?

    init(of certificate: OpaquePointer) throws(OpenSSLError) {
        der = Self.value(of: certificate)
        var isCritical: Int32 = 0
        let decoded = X509_get_ext_d2i(certificate, NID_subject_alt_name, &isCritical, nil)
        guard let decoded else {
            guard der == nil else { throw Self.refusal("they cannot be decoded") }
            return
        }
        let names = OpaquePointer(decoded)
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<COpenSSL_sk_GENERAL_NAME_num(names) {
            guard let name = COpenSSL_sk_GENERAL_NAME_value(names, index) else { continue }
            try add(name)
        }
    }

    private mutating func add(_ name: UnsafeMutablePointer<GENERAL_NAME>) throws(OpenSSLError) {
        var type: Int32 = 0
        guard let value = GENERAL_NAME_get0_value(name, &type) else { return }
        switch type {
        case GEN_DNS: dnsNames.append(try Self.text(value))
        case GEN_URI: uris.append(try Self.text(value))
        case GEN_EMAIL: emails.append(try Self.text(value))
        case GEN_IPADD:
            let bytes = Array(Self.bytes(value))
            guard bytes.count == 4 || bytes.count == 16 else { throw Self.refusal("an address has a wrong length") }
            addresses.append(bytes)
        default: break
        }
    }

    /// An IA5String of printable ASCII without spaces: no NUL, no control character, nothing beyond ASCII.
    private static func text(_ value: UnsafeMutableRawPointer) throws(OpenSSLError) -> String {
        let bytes = bytes(value)
        guard !bytes.isEmpty, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw refusal("a name is empty or has characters that do not belong in it")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func bytes(_ value: UnsafeMutableRawPointer) -> UnsafeBufferPointer<UInt8> {
        let string = UnsafePointer(value.assumingMemoryBound(to: ASN1_STRING.self))
        return UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    }

    private static func value(of certificate: OpaquePointer) -> [UInt8]? {
        let index = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1)
        guard index >= 0, let found = X509_get_ext(certificate, index), let data = X509_EXTENSION_get_data(found)
        else { return nil }
        return Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(data), count: Int(ASN1_STRING_length(data))))
    }

    private static func refusal(_ reason: String) -> OpenSSLError {
        OpenSSLError("read the certificate's alternative names", reason)
    }
}
