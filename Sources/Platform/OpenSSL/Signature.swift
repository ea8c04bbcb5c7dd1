import COpenSSL

extension PrivateKey {
    /// Ed25519, or ECDSA/RSA with SHA-256 (SHA-384 for P-384), in the algorithm's usual encoding.
    package func sign(_ bytes: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        try openSSL("sign") { () -> [UInt8]? in
            guard let context = EVP_MD_CTX_new() else { return nil }
            defer { EVP_MD_CTX_free(context) }
            var count = 0
            guard EVP_DigestSignInit(context, nil, signatureDigest(pointer), nil, pointer) == 1,
                EVP_DigestSign(context, nil, &count, bytes, bytes.count) == 1
            else { return nil }
            var signature = [UInt8](repeating: 0, count: count)
            guard EVP_DigestSign(context, &signature, &count, bytes, bytes.count) == 1 else { return nil }
            return Array(signature.prefix(count))
        }
    }

    /// `publicKeyDER`: SubjectPublicKeyInfo.
    package static func verify(signature: [UInt8], of bytes: [UInt8], publicKeyDER: [UInt8]) -> Bool {
        OpenSSLLibrary.prepare()
        defer { ErrorStack.clear() }
        let key = publicKeyDER.withUnsafeBufferPointer { der -> OpaquePointer? in
            var next = der.baseAddress
            return d2i_PUBKEY(nil, &next, der.count)
        }
        return verify(signature: signature, of: bytes, consuming: key)
    }

    /// `ed25519PublicKey`: its 32 bytes.
    package static func verify(signature: [UInt8], of bytes: [UInt8], ed25519PublicKey: [UInt8]) -> Bool {
        OpenSSLLibrary.prepare()
        defer { ErrorStack.clear() }
        let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, ed25519PublicKey, ed25519PublicKey.count)
        return verify(signature: signature, of: bytes, consuming: key)
    }

    fileprivate static func verify(signature: [UInt8], of bytes: [UInt8], consuming key: OpaquePointer?) -> Bool {
        guard let key else { return false }
        defer {
            EVP_PKEY_free(key)
            ErrorStack.clear()
        }
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit(context, nil, signatureDigest(key), nil, key) == 1
            && EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }
}

extension Certificate {
    /// Whether its key, which must be one of P-256, has signed these bytes by ECDSA with SHA-256 (ES256); the signature
    /// in DER.
    package func verifiesES256(signature: [UInt8], of bytes: [UInt8]) -> Bool {
        guard keyKind == .ellipticCurve, let key = X509_get0_pubkey(pointer), group(of: key) == SN_X9_62_prime256v1
        else {
            ErrorStack.clear()
            return false
        }
        EVP_PKEY_up_ref(key)
        return PrivateKey.verify(signature: signature, of: bytes, consuming: key)
    }

    private func group(of key: OpaquePointer) -> String? {
        var name = [CChar](repeating: 0, count: 64)
        var count = 0
        guard EVP_PKEY_get_group_name(key, &name, name.count, &count) == 1 else { return nil }
        return String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The digest that belongs to a key; nil for Ed25519, which has its own.
func signatureDigest(_ key: OpaquePointer) -> OpaquePointer? {
    switch EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_ED25519: nil
    case EVP_PKEY_EC where EVP_PKEY_get_bits(key) > 256: EVP_sha384()
    default: EVP_sha256()
    }
}
