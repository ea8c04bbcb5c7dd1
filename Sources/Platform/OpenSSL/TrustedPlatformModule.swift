import COpenSSL

/// A TPM 2.0 through the provider tpm2-openssl, in a library context of its own, so that no other key gets there
/// (tpm2-software/tpm2-openssl#113). The way to it is in the process's environment (`TPM2OPENSSL_TCTI`).
///
/// Calls block for as long as the TPM does: for a process that does nothing else. Not for two threads.
package final class TrustedPlatformModule {
    /// A TPM has room for three loaded keys (TPM2_PT_HR_TRANSIENT_MIN), and one is needed to load another.
    private static let loadedLimit = 2
    private static let selection = "provider=tpm2"

    private let library: OpaquePointer
    /// The newest last.
    private var loaded: [(wrapped: [UInt8], key: OpaquePointer)] = []

    package init() throws(OpenSSLError) {
        library = try openSSL("make a library context") { OSSL_LIB_CTX_new() }
        let (tpm, usual) = (
            OSSL_PROVIDER_load(library, "tpm2"),
            // For the digests and the reading of PEM, which the TPM's provider leaves to it.
            OSSL_PROVIDER_load(library, "default")
        )
        guard tpm != nil, usual != nil else {
            let error = OpenSSLError(stackAfter: "reach the TPM (package tpm2-openssl)")
            OSSL_LIB_CTX_free(library)
            throw error
        }
    }

    deinit {
        for (_, key) in loaded { EVP_PKEY_free(key) }
        OSSL_LIB_CTX_free(library)
    }

    /// A P-256 pair: the private half wrapped by the TPM (`TSS2 PRIVATE KEY`), and SubjectPublicKeyInfo.
    package func generate() throws(OpenSSLError) -> (wrapped: [UInt8], publicKeyDER: [UInt8]) {
        unload(downTo: 0)
        let key: OpaquePointer = try openSSL("make a key in the TPM") { () -> OpaquePointer? in
            guard let context = EVP_PKEY_CTX_new_from_name(library, "EC", Self.selection) else { return nil }
            defer { EVP_PKEY_CTX_free(context) }
            var key: OpaquePointer?
            guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
                EVP_PKEY_generate(context, &key) == 1
            else { return nil }
            return key
        }
        defer { EVP_PKEY_free(key) }
        let output = MemoryBIO(isSecret: false)
        try openSSL(
            "read the wrapped key", isOne: { PEM_write_bio_PrivateKey(output.pointer, key, nil, nil, 0, nil, nil) })
        let wrapped = output.withBytes { Array($0) }
        return (wrapped, encoded { i2d_PUBKEY(key, $0) } ?? [])
    }

    /// ECDSA over a digest, as DER.
    package func sign(_ digest: [UInt8], wrappedKey: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        let key = try load(wrappedKey)
        return try openSSL("sign with the TPM") { () -> [UInt8]? in
            guard let context = EVP_PKEY_CTX_new_from_pkey(library, key, Self.selection) else { return nil }
            defer { EVP_PKEY_CTX_free(context) }
            var count = Int(EVP_PKEY_get_size(key))
            var signature = [UInt8](repeating: 0, count: count)
            guard EVP_PKEY_sign_init(context) == 1,
                EVP_PKEY_sign(context, &signature, &count, digest, digest.count) == 1
            else { return nil }
            return Array(signature.prefix(count))
        }
    }

    private func load(_ wrapped: [UInt8]) throws(OpenSSLError) -> OpaquePointer {
        if let index = loaded.firstIndex(where: { $0.wrapped == wrapped }) {
            loaded.append(loaded.remove(at: index))
            return loaded[loaded.count - 1].key
        }
        unload(downTo: Self.loadedLimit - 1)
        let key: OpaquePointer = try openSSL("load a key into the TPM") { () -> OpaquePointer? in
            wrapped.withUnsafeBytes { raw in
                let input = MemoryBIO(reading: raw)
                return PEM_read_bio_PrivateKey_ex(
                    input.pointer, nil, { _, _, _, _ in -1 }, nil, library, "?" + Self.selection)
            }
        }
        loaded.append((wrapped, key))
        return key
    }

    private func unload(downTo count: Int) {
        while loaded.count > count { EVP_PKEY_free(loaded.removeFirst().key) }
    }
}
