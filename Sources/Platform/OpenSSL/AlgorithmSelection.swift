import COpenSSL

/// The algorithms that a server's handshakes choose from.
package enum AlgorithmSelection: String, Sendable, CaseIterable {
    /// Of OpenSSL's default provider, only what a TLS server needs: a handshake searches a tenth of the decoders. Where
    /// it does not pass its test, the same as `all`.
    case trimmed
    /// The default provider as it is.
    case all

    /// Whether `trimmed` is what it says on this machine.
    package static var isTrimmedUsable: Bool { TrimmedLibrary.tested != nil }

    /// OpenSSL's library context; nil means its default one.
    var library: OpaquePointer? {
        switch self {
        case .trimmed: TrimmedLibrary.tested?.context
        case .all: nil
        }
    }
}

/// A library context of OpenSSL's, whose one provider hands on OpenSSL's default provider without what a server of TLS
/// never uses.
///
/// OpenSSL 3 walks through all key managers and decoders that a library context has for each public key that it parses
/// (`OSSL_DECODER_CTX_new_for_pkey`): a fifth of a handshake. The algorithms themselves are the default provider's own,
/// in a second library context. Lives as long as the process.
struct TrimmedLibrary: Sendable {
    /// OpenSSL's `OSSL_LIB_CTX`; never changed after `init`, never freed.
    nonisolated(unsafe) let context: OpaquePointer

    /// nil when it cannot be made or does not read every kind of key that peers may have.
    static let tested: TrimmedLibrary? = {
        OpenSSLLibrary.prepare()
        defer { ErrorStack.clear() }
        guard let library = TrimmedLibrary() else { return nil }
        return library.readsEveryKey ? library : nil
    }()

    private init?() {
        guard TrimmedProvider.original != nil, let context = OSSL_LIB_CTX_new(),
            OSSL_PROVIDER_add_builtin(context, TrimmedProvider.name, TrimmedProvider.begin) == 1,
            OSSL_PROVIDER_load(context, TrimmedProvider.name) != nil
        else { return nil }
        self.context = context
    }

    private var readsEveryKey: Bool {
        let made = [KeyKind.ecP256, .ecP384, .ed25519].map { try? PrivateKey.generate($0).publicKeyDER }
        return (made + [Self.publicKeyOfRSA]).allSatisfy { der in der.map(reads) ?? false }
    }

    private func reads(_ der: [UInt8]) -> Bool {
        let keys = [context, nil].map { library in
            der.withUnsafeBufferPointer { bytes in
                var next = bytes.baseAddress
                return d2i_PUBKEY_ex(nil, &next, bytes.count, library, nil)
            }
        }
        defer { for key in keys { EVP_PKEY_free(key) } }
        return EVP_PKEY_eq(keys[0], keys[1]) == 1
    }

    /// RFC 8017's structure around any odd modulus of 2048 bits: to make a real key would take longer than the rest of
    /// the daemon's start.
    private static let publicKeyOfRSA: [UInt8] =
        [
            0x30, 0x82, 0x01, 0x22, 0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05,
            0x00, 0x03, 0x82, 0x01, 0x0F, 0x00, 0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00,
        ] + [UInt8](repeating: 0xD1, count: 256) + [0x02, 0x03, 0x01, 0x00, 0x01]
}
