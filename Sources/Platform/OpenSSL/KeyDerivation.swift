import COpenSSL

/// Keys from keys (RFC 5869).
package enum KeyDerivation {
    package static func hkdfSHA512(
        secret: borrowing SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) throws(OpenSSLError) -> SecretBytes {
        try hkdf("SHA512", secret: secret, salt: salt, info: info, count: count)
    }

    package static func hkdfSHA256(
        secret: borrowing SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) throws(OpenSSLError) -> SecretBytes {
        try hkdf("SHA256", secret: secret, salt: salt, info: info, count: count)
    }

    private static func hkdf(
        _ digest: String, secret: borrowing SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) throws(OpenSSLError) -> SecretBytes {
        OpenSSLLibrary.prepare()
        ErrorStack.clear()
        guard let context = EVP_KDF_CTX_new(Algorithms.hkdf) else { throw OpenSSLError(stackAfter: "derive a key") }
        defer { EVP_KDF_CTX_free(context) }
        var succeeded = false
        let derived = SecretBytes(count: count) { output in
            secret.withUnsafeBytes { key in
                let start = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
                succeeded =
                    COpenSSL_HKDF_derive(
                        context, digest, key.baseAddress, key.count, salt, salt.count, info, info.count, start, count)
                    == 1
            }
        }
        guard succeeded else { throw OpenSSLError(stackAfter: "derive a key") }
        return derived
    }
}

/// Message authentication codes, and comparisons whose duration tells nothing.
package enum MessageAuthentication {
    package static func hmacSHA256(key: borrowing SecretBytes, _ bytes: [UInt8]) -> [UInt8] {
        OpenSSLLibrary.prepare()
        var code = [UInt8](repeating: 0, count: 32)
        key.withUnsafeBytes { key in
            let result = HMAC(
                Algorithms.sha256, key.baseAddress, Int32(key.count), bytes, bytes.count, &code, nil)
            precondition(result != nil, "HMAC-SHA-256 is not available")
        }
        return code
    }

    /// False for different lengths; else compares every byte.
    package static func equal(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        one.count == other.count && CRYPTO_memcmp(one, other, one.count) == 0
    }
}
