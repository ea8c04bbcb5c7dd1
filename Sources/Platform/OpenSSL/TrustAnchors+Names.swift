import COpenSSL

extension TrustAnchors {
    /// Tells clients with several certificates which one to send (RFC 8446 section 4.2.4).
    ///
    /// An anchor may be an intermediate, and its issuer is named, too: pgJDBC sends no certificate at all unless the
    /// issuer of the last one of its chain is among the names (`LazyKeyManager.chooseClientAlias`).
    func nameAuthorities(in context: OpaquePointer) throws(OpenSSLError) {
        var names: [OpaquePointer] = []
        for certificate in certificates {
            for name in [X509_get_subject_name(certificate.pointer), X509_get_issuer_name(certificate.pointer)] {
                guard let name, !names.contains(where: { X509_NAME_cmp($0, name) == 0 }) else { continue }
                names.append(name)
            }
        }
        let stack = try openSSL("list the trusted authorities") { COpenSSL_sk_X509_NAME_new() }
        // From here on the context frees it, whatever happens.
        SSL_CTX_set_client_CA_list(context, stack)
        for name in names {
            let copy = try openSSL("name the trusted authorities") { X509_NAME_dup(name) }
            try openSSL("name the trusted authorities", isOne: { min(1, COpenSSL_sk_X509_NAME_push(stack, copy)) })
        }
    }
}
