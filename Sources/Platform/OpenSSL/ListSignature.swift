import COpenSSL

/// The signature of a list, with what is needed to check it when the list itself is gone: a digest of what is signed.
/// Only for algorithms that do not begin with a digest of their own choice (Ed25519, RSA-PSS) the whole is kept.
struct ListSignature: Sendable {
    private enum Message {
        case digest([UInt8], kind: Int32, key: Int32)
        case whole([UInt8])
    }

    /// SHA-1 and older are refused in certificates too (SSL_CTX_set_security_level(3)).
    private static let weakDigests: Set<Int32> = [
        NID_md2, NID_md4, NID_md5, NID_mdc2, NID_ripemd160, NID_sha, NID_sha1,
    ]

    /// AlgorithmIdentifier in DER.
    private let algorithm: [UInt8]
    private let value: [UInt8]
    private let message: Message

    init(algorithm: [UInt8], value: [UInt8], of signed: UnsafeRawBufferPointer) throws(OpenSSLError) {
        let parsed = try ParsedAlgorithm(algorithm)
        var (digest, key): (Int32, Int32) = (0, 0)
        guard OBJ_find_sigid_algs(parsed.kind, &digest, &key) == 1 else { throw Self.refusal("is unknown") }
        let strength = parsed.kind == NID_rsassaPss ? parsed.digestOfPSS : digest
        guard !Self.weakDigests.contains(strength) else { throw Self.refusal("is too weak") }
        if [EVP_PKEY_RSA, EVP_PKEY_EC].contains(key), let function = EVP_get_digestbyname(OBJ_nid2sn(digest)) {
            message = .digest(try Self.digest(signed, function), kind: digest, key: key)
        } else {
            message = .whole(Array(signed))
        }
        self.algorithm = algorithm
        self.value = value
    }

    /// Leaves nothing on the error stack.
    func isGood(under key: OpaquePointer) -> Bool {
        defer { ErrorStack.clear() }
        switch message {
        case .digest(let digest, let kind, let wanted):
            guard EVP_PKEY_get_base_id(key) == wanted, let context = EVP_PKEY_CTX_new(key, nil) else { return false }
            defer { EVP_PKEY_CTX_free(context) }
            return EVP_PKEY_verify_init(context) == 1
                && EVP_PKEY_CTX_set_signature_md(context, EVP_get_digestbyname(OBJ_nid2sn(kind))) > 0
                && EVP_PKEY_verify(context, value, value.count, digest, digest.count) == 1
        case .whole(let signed): return isGood(under: key, of: signed)
        }
    }

    /// As `X509_CRL_verify` does it.
    private func isGood(under key: OpaquePointer, of signed: [UInt8]) -> Bool {
        guard let parsed = try? ParsedAlgorithm(algorithm), let bits = ASN1_STRING_type_new(V_ASN1_BIT_STRING),
            let data = ASN1_STRING_type_new(V_ASN1_SEQUENCE)
        else { return false }
        defer {
            ASN1_STRING_free(bits)
            ASN1_STRING_free(data)
        }
        guard ASN1_STRING_set(bits, value, Int32(value.count)) == 1,
            ASN1_STRING_set(data, signed, Int32(signed.count)) == 1
        else { return false }
        return ASN1_item_verify(ASN1_SEQUENCE_it(), parsed.pointer, bits, data, key) == 1
    }

    private static func digest(
        _ bytes: UnsafeRawBufferPointer, _ function: OpaquePointer
    ) throws(OpenSSLError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_Digest(bytes.baseAddress, bytes.count, &digest, &count, function, nil) == 1 else {
            throw refusal("has a digest that is not available")
        }
        return Array(digest.prefix(Int(count)))
    }

    private static func refusal(_ reason: String) -> OpenSSLError {
        OpenSSLError("read a CRL", "its signature \(reason)")
    }
}

/// OpenSSL's form of an AlgorithmIdentifier, for as long as it is looked at.
private struct ParsedAlgorithm: ~Copyable {
    let pointer: UnsafeMutablePointer<X509_ALGOR>

    init(_ der: [UInt8]) throws(OpenSSLError) {
        pointer = try openSSL("read a CRL") { () -> UnsafeMutablePointer<X509_ALGOR>? in
            der.withUnsafeBufferPointer { bytes in
                var next = bytes.baseAddress
                return d2i_X509_ALGOR(nil, &next, bytes.count)
            }
        }
        ErrorStack.clear()
    }

    deinit { X509_ALGOR_free(pointer) }

    var kind: Int32 { OBJ_obj2nid(pointer.pointee.algorithm) }

    /// SHA-1 where nothing else is said (RFC 4055 §3.1).
    var digestOfPSS: Int32 {
        defer { ErrorStack.clear() }
        guard let unpacked = ASN1_TYPE_unpack_sequence(RSA_PSS_PARAMS_it(), pointer.pointee.parameter) else {
            return NID_sha1
        }
        let parameters = unpacked.assumingMemoryBound(to: RSA_PSS_PARAMS.self)
        defer { RSA_PSS_PARAMS_free(parameters) }
        return parameters.pointee.hashAlgorithm.map { OBJ_obj2nid($0.pointee.algorithm) } ?? NID_sha1
    }
}
