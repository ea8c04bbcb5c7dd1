import COpenSSL

/// PKCS#10 requests (RFC 2986), as DER.
package enum SigningRequest {
    package static func make(
        key: PrivateKey, commonName: String, organization: String? = nil, dnsNames: [String] = [],
        addresses: [[UInt8]] = [], uris: [String] = [], serverAuth: Bool, clientAuth: Bool,
        details: RequestDetails = .standard
    ) throws(OpenSSLError) -> [UInt8] {
        try openSSL("make a certificate request") { () -> [UInt8]? in
            var extensions: OpaquePointer?
            defer { COpenSSL_sk_X509_EXTENSION_free(extensions) }
            let names =
                dnsNames.map { (GEN_DNS, V_ASN1_IA5STRING, Array($0.utf8)) }
                + addresses.map { (GEN_IPADD, V_ASN1_OCTET_STRING, $0) }
                + uris.map { (GEN_URI, V_ASN1_IA5STRING, Array($0.utf8)) }
            guard names.isEmpty || addNames(names, to: &extensions),
                addKeyUsage(of: key, to: &extensions),
                addUsages(serverAuth: serverAuth, clientAuth: clientAuth, to: &extensions),
                details.add(to: &extensions), let subject = X509_NAME_new()
            else { return nil }
            defer { X509_NAME_free(subject) }
            guard addEntry(NID_commonName, commonName, to: subject),
                organization.map({ addEntry(NID_organizationName, $0, to: subject) }) ?? true
            else { return nil }
            return sign(subject: subject, extensions: extensions, key: key, details)
        }
    }

    /// Asks for the same again: subject, alternative names and usages are the certificate's own bytes, because
    /// authorities compare bytes and a rebuilt name may differ in its string type.
    package static func renewing(
        _ certificate: Certificate, key: PrivateKey, details: RequestDetails = .standard
    ) throws(OpenSSLError) -> [UInt8] {
        try openSSL("make a certificate request") { () -> [UInt8]? in
            var extensions: OpaquePointer?
            defer { COpenSSL_sk_X509_EXTENSION_free(extensions) }
            for kind in [NID_subject_alt_name, NID_key_usage, NID_ext_key_usage] {
                let index = X509_get_ext_by_NID(certificate.pointer, kind, -1)
                guard index >= 0 else { continue }
                guard X509v3_add_ext(&extensions, X509_get_ext(certificate.pointer, index), -1) != nil else {
                    return nil
                }
            }
            guard details.add(to: &extensions) else { return nil }
            return sign(
                subject: X509_get_subject_name(certificate.pointer), extensions: extensions, key: key, details)
        }
    }

    private static func sign(
        subject: OpaquePointer?, extensions: OpaquePointer?, key: PrivateKey, _ details: RequestDetails
    ) -> [UInt8]? {
        guard let request = X509_REQ_new() else { return nil }
        defer { X509_REQ_free(request) }
        guard X509_REQ_set_version(request, 0) == 1, X509_REQ_set_subject_name(request, subject) == 1,
            X509_REQ_set_pubkey(request, key.pointer) == 1,
            extensions == nil || X509_REQ_add_extensions(request, extensions) == 1,
            X509_REQ_sign(request, key.pointer, details.digest(for: key.pointer)) > 0
        else { return nil }
        return encoded { i2d_X509_REQ(request, $0) }
    }

    private static func addEntry(_ kind: Int32, _ value: String, to name: OpaquePointer) -> Bool {
        let bytes = Array(value.utf8)
        return X509_NAME_add_entry_by_NID(name, kind, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0) == 1
    }

    private static func addNames(
        _ names: [(kind: Int32, type: Int32, bytes: [UInt8])], to extensions: inout OpaquePointer?
    ) -> Bool {
        guard let stack = COpenSSL_sk_GENERAL_NAME_new() else { return false }
        defer { GENERAL_NAMES_free(stack) }
        for (kind, type, bytes) in names {
            guard let name = GENERAL_NAME_new() else { return false }
            guard let value = ASN1_STRING_type_new(type),
                ASN1_STRING_set(value, bytes, Int32(bytes.count)) == 1
            else { return false }
            GENERAL_NAME_set0_value(name, kind, value)
            guard COpenSSL_sk_GENERAL_NAME_push(stack, name) > 0 else { return false }
        }
        return X509V3_add1_i2d(&extensions, NID_subject_alt_name, UnsafeMutableRawPointer(stack), 0, 0) == 1
    }

    /// digitalSignature; RSA also keyEncipherment, which old TLS 1.2 peers ask for.
    private static func addKeyUsage(of key: PrivateKey, to extensions: inout OpaquePointer?) -> Bool {
        guard let bits = ASN1_BIT_STRING_new() else { return false }
        defer { ASN1_BIT_STRING_free(bits) }
        guard ASN1_BIT_STRING_set_bit(bits, 0, 1) == 1 else { return false }
        if EVP_PKEY_get_base_id(key.pointer) == EVP_PKEY_RSA, ASN1_BIT_STRING_set_bit(bits, 2, 1) != 1 {
            return false
        }
        return X509V3_add1_i2d(&extensions, NID_key_usage, bits, 1, 0) == 1
    }

    private static func addUsages(
        serverAuth: Bool, clientAuth: Bool, to extensions: inout OpaquePointer?
    ) -> Bool {
        let usages = (serverAuth ? [NID_server_auth] : []) + (clientAuth ? [NID_client_auth] : [])
        guard !usages.isEmpty else { return true }
        guard let stack = COpenSSL_sk_ASN1_OBJECT_new() else { return false }
        defer { COpenSSL_sk_ASN1_OBJECT_free(stack) }
        for usage in usages where COpenSSL_sk_ASN1_OBJECT_push(stack, OBJ_nid2obj(usage)) <= 0 { return false }
        return X509V3_add1_i2d(&extensions, NID_ext_key_usage, UnsafeMutableRawPointer(stack), 0, 0) == 1
    }
}
