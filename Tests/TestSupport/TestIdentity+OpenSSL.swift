import OpenSSL

extension TestIdentity {
    /// The leaf, as the agent reads it.
    package func certificate() throws -> Certificate {
        guard let leaf = try Certificate.parsePEM(try certificatePEM).first else {
            throw TestSupportError("\(certificatePath) is empty")
        }
        return leaf
    }

    /// Chain and key, as the agent reads them.
    package func tlsIdentity() throws -> TLSIdentity {
        try TLSIdentity(chainFile: try chainPEM, keyFile: keyPath)
    }
}

extension TestAuthority {
    /// The root alone.
    package func trust() throws -> TrustAnchors { try TrustAnchors([try root.certificate()]) }
}
