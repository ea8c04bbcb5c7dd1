import COpenSSL

/// A kind of key that nodeguard makes.
package enum KeyKind: String, Sendable, CaseIterable {
    case ecP256 = "ec-p256"
    case ecP384 = "ec-p384"
    case rsa3072 = "rsa-3072"
    case ed25519
}

/// A private key: made inside OpenSSL, which it leaves only into a file of mode 0600, or held by something that it
/// never leaves.
package final class PrivateKey: Sendable, CustomStringConvertible {
    /// OpenSSL's counted `EVP_PKEY`; never changed after `init`.
    nonisolated(unsafe) let pointer: OpaquePointer
    /// nil: the key is in this process.
    package let holder: (any KeyHolder)?

    private init(adopting pointer: OpaquePointer, holder: (any KeyHolder)? = nil) {
        self.pointer = pointer
        self.holder = holder
    }

    /// A key of which only the public half (SubjectPublicKeyInfo) is known here; EC and RSA.
    package convenience init(publicKeyDER: [UInt8], holder: any KeyHolder) throws(OpenSSLError) {
        let pointer = try openSSL("use a key in \(holder.place)") {
            HeldKey.make(publicKeyDER: publicKeyDER, holder: holder)
        }
        self.init(adopting: pointer, holder: holder)
    }

    deinit { EVP_PKEY_free(pointer) }

    package var description: String { "private key" }

    package static let placeOfFiles = "file"
    /// Where it lives, for people.
    package var place: String { holder?.place ?? Self.placeOfFiles }

    package static func generate(_ kind: KeyKind) throws(OpenSSLError) -> PrivateKey {
        let name =
            switch kind {
            case .ecP256, .ecP384: "EC"
            case .rsa3072: "RSA"
            case .ed25519: "ED25519"
            }
        let pointer: OpaquePointer = try openSSL("make a key") { () -> OpaquePointer? in
            guard let context = EVP_PKEY_CTX_new_from_name(nil, name, nil) else { return nil }
            defer { EVP_PKEY_CTX_free(context) }
            guard EVP_PKEY_keygen_init(context) == 1 else { return nil }
            let isSet: Int32 =
                switch kind {
                case .ecP256: EVP_PKEY_CTX_set_group_name(context, "P-256")
                case .ecP384: EVP_PKEY_CTX_set_group_name(context, "P-384")
                case .rsa3072: EVP_PKEY_CTX_set_rsa_keygen_bits(context, 3072)
                case .ed25519: 1
                }
            var key: OpaquePointer?
            guard isSet == 1, EVP_PKEY_generate(context, &key) == 1 else { return nil }
            return key
        }
        return PrivateKey(adopting: pointer)
    }

    /// Reads an unencrypted PEM file; the text passes through secure memory only.
    package convenience init(pemFile path: String) throws(OpenSSLError) {
        try self.init(pem: try SecretReference.contents(of: path), path)
    }

    /// `path`: where it was read, for errors.
    package convenience init(pem text: SecretReference, _ path: String) throws(OpenSSLError) {
        let pointer: OpaquePointer? = text.withSecret { secret in
            secret.withUnsafeBytes { raw in
                let input = MemoryBIO(reading: raw)
                ErrorStack.clear()
                // Answers for the pass phrase, lest OpenSSL ask the terminal for it.
                return PEM_read_bio_PrivateKey(input.pointer, nil, { _, _, _, _ in -1 }, nil)
            }
        }
        guard let pointer else { throw OpenSSLError(stackAfter: "read the private key \(path)") }
        self.init(adopting: pointer)
    }

    /// Replaces the file durably: a new file of mode 0600, fsync, rename, fsync of its folder.
    package func writePEM(to path: String) throws(OpenSSLError) {
        let output = try encodedPEM()
        var failure: OpenSSLError?
        output.withBytes { bytes in
            do throws(OpenSSLError) { try KeyFile.write(bytes, to: path) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// PKCS#8, unencrypted; the same bytes each time.
    package func pem() throws(OpenSSLError) -> SecretReference {
        try encodedPEM().withBytes { bytes in
            SecretReference(SecretBytes(count: bytes.count) { $0.copyMemory(from: bytes) })
        }
    }

    private func encodedPEM() throws(OpenSSLError) -> MemoryBIO {
        if let holder { throw OpenSSLError("encode a private key", "it does not leave \(holder.place)") }
        let output = MemoryBIO(isSecret: true)
        try openSSL(
            "encode a private key",
            isOne: {
                PEM_write_bio_PKCS8PrivateKey(output.pointer, pointer, nil, nil, 0, nil, nil)
            })
        return output
    }

    package func matches(_ certificate: Certificate) -> Bool {
        defer { ErrorStack.clear() }
        return X509_check_private_key(certificate.pointer, pointer) == 1
    }

    /// SubjectPublicKeyInfo.
    package var publicKeyDER: [UInt8] {
        encoded { i2d_PUBKEY(pointer, $0) } ?? []
    }

    /// The 32 bytes of an Ed25519 public key; nil for other kinds.
    package var rawPublicKey: [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count = bytes.count
        defer { ErrorStack.clear() }
        guard EVP_PKEY_get_base_id(pointer) == EVP_PKEY_ED25519,
            EVP_PKEY_get_raw_public_key(pointer, &bytes, &count) == 1
        else { return nil }
        return bytes
    }
}
