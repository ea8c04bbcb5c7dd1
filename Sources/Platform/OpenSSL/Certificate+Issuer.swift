import COpenSSL

extension Certificate {
    /// Whether the issuer's name, key identifier, key usage and signature fit. Says nothing about time.
    package func isIssued(by issuer: Certificate) -> Bool {
        defer { ErrorStack.clear() }
        guard X509_check_issued(issuer.pointer, pointer) == X509_V_OK, let key = X509_get0_pubkey(issuer.pointer) else {
            return false
        }
        return X509_verify(pointer, key) == 1
    }

    /// An authority's word for another key of the same name (RFC 5280 §3.2): what a change of a root's key is made with
    /// (RFC 4210 §4.4).
    package var isSelfIssued: Bool { isAuthority && !isSelfSigned && subjectDER == issuerDER }
}
