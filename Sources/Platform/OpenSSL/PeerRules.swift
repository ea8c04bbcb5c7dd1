import COpenSSL

/// What a peer's certificate is to be used for.
package enum CertificatePurpose: Sendable, Equatable {
    case server, client
    /// For this extended key usage and no other, as dotted text: to sign what is no TLS.
    case only(String)

    var openSSLPurpose: Int32 {
        switch self {
        case .server: X509_PURPOSE_SSL_SERVER
        case .client: X509_PURPOSE_SSL_CLIENT
        // Of usages that OpenSSL does not know it has no opinion (X509_check_purpose(3)).
        case .only: X509_PURPOSE_ANY
        }
    }
}

/// Our own checks of a peer's leaf, beside OpenSSL's.
///
/// OpenSSL 3.0 accepts a client whose certificate names no extended key usage, and an authority's own certificate as a
/// leaf: its purpose check refuses only what an extension rules out (X509_check_purpose(3)).
enum PeerRules {
    /// Intermediates between leaf and trust anchor.
    static let depthLimit: Int32 = 3
    /// Leaf, intermediates, anchor.
    static let chainLimit = Int(depthLimit) + 2
    /// Bytes of all certificates that a peer sends.
    static let chainBytesLimit = 32 << 10

    static func refusal(
        of leaf: Certificate, chainCount: Int, purpose: CertificatePurpose, at unixSeconds: Int64
    ) -> TLSFailure? {
        if leaf.isAuthority { return TLSFailure(.authorityAsLeaf, "an authority's own certificate is no peer's") }
        if unixSeconds < leaf.notBefore { return TLSFailure(.notYetValid, "certificate is not yet valid") }
        if unixSeconds > leaf.notAfter { return TLSFailure(.expired, "certificate has expired") }
        if chainCount > chainLimit { return TLSFailure(.chainTooLong, "certificate chain too long") }
        let isAllowed =
            switch purpose {
            case .client: leaf.allowsClientAuthentication
            case .server: leaf.allowsServerAuthentication
            case .only(let usage): leaf.extendedKeyUsages == [usage]
            }
        guard isAllowed else {
            return TLSFailure(.wrongPurpose, "the extended key usage does not name this use")
        }
        if let usage = leaf.keyUsage, !usage.contains(.digitalSignature) {
            return TLSFailure(.wrongPurpose, "the key usage does not allow digital signatures")
        }
        return nil
    }

    /// What OpenSSL's verification (and only it) found wrong.
    static func failure(code: Int32, depth: Int32, isAuthorityLeaf: Bool) -> TLSFailure {
        let words = String(cString: X509_verify_cert_error_string(Int(code)))
        let kind: TLSFailure.Kind =
            switch code {
            case X509_V_ERR_CERT_HAS_EXPIRED: .expired
            case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
            case X509_V_ERR_CERT_REVOKED: .revoked
            case X509_V_ERR_CERT_CHAIN_TOO_LONG: .chainTooLong
            case X509_V_ERR_INVALID_PURPOSE: isAuthorityLeaf ? .authorityAsLeaf : .wrongPurpose
            case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK:
                .weakCertificate
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE,
                X509_V_ERR_CERT_UNTRUSTED:
                .unknownIssuer
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .wrongName
            default: .invalidCertificate
            }
        return TLSFailure(kind, depth > 0 ? "\(words) (depth \(depth))" : words)
    }
}
