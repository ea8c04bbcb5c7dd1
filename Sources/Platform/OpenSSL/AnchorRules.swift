import COpenSSL

/// What is asked of trust anchors: their name and key are what is trusted (RFC 5280 §6.1.1 (d)), so the form of their
/// own extensions is not held against them, as it is against every other certificate of a chain.
enum AnchorRules {
    /// What RFC 5280 asks of an authority's certificate beyond its being one. `openssl req -x509` writes no key usage.
    private static let toleratedErrors: Set<Int32> = [
        X509_V_ERR_CA_CERT_MISSING_KEY_USAGE, X509_V_ERR_CA_BCONS_NOT_CRITICAL,
        X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER,
    ]

    static func install(in store: OpaquePointer) { X509_STORE_set_verify_cb(store, judge) }

    /// Extensions are looked at once the chain is whole (`verify_chain` of OpenSSL's x509_vfy.c): what it ends at is
    /// then an anchor.
    private static let judge: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, context in
        if isGood == 1 { return 1 }
        guard let context, toleratedErrors.contains(X509_STORE_CTX_get_error(context)) else { return 0 }
        let depth = X509_STORE_CTX_get_error_depth(context)
        guard let chain = X509_STORE_CTX_get0_chain(context), depth > 0, depth == COpenSSL_sk_X509_num(chain) - 1
        else { return 0 }
        X509_STORE_CTX_set_error(context, X509_V_OK)
        return 1
    }
}

extension Certificate {
    /// Bits of security by OpenSSL's levels (SSL_CTX_set_security_level(3)): level 2.
    private static let securityBits: Int32 = 112

    /// Why no peer's certificate can ever be verified under it; nil: one can, at least while it is valid.
    package func flawAsAnchor(for purpose: CertificatePurpose) -> String? {
        if !isAuthority { return "it is no authority (basicConstraints must say CA:TRUE)" }
        if let keyUsage, !keyUsage.contains(.certificateSigning) {
            return "its key usage does not let it sign certificates (keyCertSign)"
        }
        guard let key = X509_get0_pubkey(pointer), EVP_PKEY_get_security_bits(key) >= Self.securityBits else {
            return "its key is too weak (RSA needs 2048 bits, EC 224)"
        }
        if X509_get_extension_flags(pointer) & UInt32(EXFLAG_CRITICAL) != 0 {
            return "it has a critical extension that is not supported"
        }
        if X509_check_purpose(pointer, purpose.openSSLPurpose, 1) != 1 {
            return "its extended key usage does not let it certify \(purpose.words)"
        }
        return nil
    }
}

extension CertificatePurpose {
    /// Who is certified for it.
    fileprivate var words: String {
        switch self {
        case .client: "clients"
        case .server: "servers"
        case .only: "signers"
        }
    }
}
