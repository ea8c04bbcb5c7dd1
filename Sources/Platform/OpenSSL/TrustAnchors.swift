import COpenSSL

/// The authorities that are trusted, as one immutable generation; shared by all contexts that use it.
package final class TrustAnchors: Sendable {
    package enum Verdict: Sendable {
        /// Leaf first, anchor last.
        case trusted([Certificate])
        case refused(reason: String)
    }

    /// Handshakes look up clients only: of a server's chain the owner of the session asks `refusal(ofVerified:)`.
    package let revocation: Revocation?

    /// OpenSSL's counted `X509_STORE`; never changed after `init`.
    nonisolated(unsafe) let store: OpaquePointer
    package let certificates: [Certificate]
    /// Whether an intermediate in the set is an anchor by itself.
    private let pinsIntermediates: Bool

    static let countLimit = 256

    /// Intermediates in the set help to build chains; only with `pinsIntermediates` does a chain end at one.
    package init(
        _ certificates: [Certificate], pinsIntermediates: Bool = false, revocation: Revocation? = nil
    ) throws(OpenSSLError) {
        guard !certificates.isEmpty, certificates.count <= Self.countLimit else {
            throw OpenSSLError("load trust anchors", "there must be 1 to \(Self.countLimit)")
        }
        for certificate in certificates where !certificate.isAuthority {
            // A leaf as an anchor would be trusted for whatever names itself after it (CVE-2024-2048).
            throw OpenSSLError("load trust anchors", "\(certificate) is no authority")
        }
        guard pinsIntermediates || certificates.contains(where: \.isSelfSigned) else {
            throw OpenSSLError("load trust anchors", "there is no root among them")
        }
        let store: OpaquePointer = try openSSL("load trust anchors") { () -> OpaquePointer? in
            guard let store = X509_STORE_new() else { return nil }
            for certificate in certificates where X509_STORE_add_cert(store, certificate.pointer) != 1 {
                X509_STORE_free(store)
                return nil
            }
            AnchorRules.install(in: store)
            return store
        }
        self.store = store
        self.certificates = certificates
        self.pinsIntermediates = pinsIntermediates
        self.revocation = revocation
    }

    package convenience init(pem: [UInt8], pinsIntermediates: Bool = false) throws(OpenSSLError) {
        try self.init(try Certificate.parsePEM(pem), pinsIntermediates: pinsIntermediates)
    }

    deinit { X509_STORE_free(store) }

    /// Verifies as a handshake does, at a time of the caller's choice: OpenSSL's checks, then our own.
    package func verify(
        leaf: Certificate, intermediates: [Certificate], purpose: CertificatePurpose, at unixSeconds: Int64
    ) -> Verdict {
        switch judge(leaf: leaf, intermediates: intermediates, purpose: purpose, at: unixSeconds) {
        case .success(let chain): .trusted(chain)
        case .failure(let failure): .refused(reason: failure.detail)
        }
    }

    /// The same, with the kind of refusal.
    package func judge(
        leaf: Certificate, intermediates: [Certificate], purpose: CertificatePurpose, at unixSeconds: Int64
    ) -> Result<[Certificate], TLSFailure> {
        defer { ErrorStack.clear() }
        guard let untrusted = COpenSSL_sk_X509_new(), let context = X509_STORE_CTX_new() else {
            preconditionFailure("out of memory")
        }
        defer {
            X509_STORE_CTX_free(context)
            COpenSSL_sk_X509_free(untrusted)
        }
        for certificate in intermediates.prefix(Self.countLimit) {
            guard COpenSSL_sk_X509_push(untrusted, certificate.pointer) > 0 else {
                return .failure(TLSFailure(.other, "out of memory"))
            }
        }
        guard X509_STORE_CTX_init(context, store, leaf.pointer, untrusted) == 1,
            let parameters = X509_STORE_CTX_get0_param(context)
        else { return .failure(TLSFailure(.other, "verification cannot start")) }
        configure(parameters, purpose: purpose)
        X509_VERIFY_PARAM_set_auth_level(parameters, TLSPolicy.securityLevel)
        X509_VERIFY_PARAM_set_time(parameters, time_t(unixSeconds))
        guard X509_verify_cert(context) == 1 else {
            return .failure(
                PeerRules.failure(
                    code: X509_STORE_CTX_get_error(context), depth: X509_STORE_CTX_get_error_depth(context),
                    isAuthorityLeaf: leaf.isAuthority))
        }
        let chain = certificateChain(X509_STORE_CTX_get0_chain(context))
        if let failure = PeerRules.refusal(of: leaf, chainCount: chain.count, purpose: purpose, at: unixSeconds) {
            return .failure(failure)
        }
        if let failure = refusal(of: chain, at: unixSeconds) { return .failure(failure) }
        return .success(chain)
    }

    /// What our own rules say against a chain that a handshake has verified under these anchors, and what is revoked;
    /// nil: nothing.
    package func refusal(
        ofVerified chain: [Certificate], purpose: CertificatePurpose, at unixSeconds: Int64
    ) -> TLSFailure? {
        guard let leaf = chain.first else { return TLSFailure(.noCertificate, "there is no certificate") }
        return PeerRules.refusal(of: leaf, chainCount: chain.count, purpose: purpose, at: unixSeconds)
            ?? refusal(of: chain, at: unixSeconds)
    }

    /// Whether a chain that these certificates have verified is revoked; nil while it is not.
    package func refusal(of chain: [Certificate], at unixSeconds: Int64) -> TLSFailure? {
        revocation?.refusal(of: chain, under: certificates, at: unixSeconds)
    }

    /// What was verified before this second, since 1970, must be verified again at `unixSeconds`; nil: none of it.
    package func lastEnd(at unixSeconds: Int64) -> Int64? { revocation?.lastEnd(at: unixSeconds) }

    /// The rules of every verification under these anchors.
    func configure(_ parameters: OpaquePointer?, purpose: CertificatePurpose) {
        X509_VERIFY_PARAM_set_depth(parameters, PeerRules.depthLimit)
        var flags = UInt(X509_V_FLAG_X509_STRICT) | UInt(X509_V_FLAG_TRUSTED_FIRST)
        if pinsIntermediates { flags |= UInt(X509_V_FLAG_PARTIAL_CHAIN) }
        X509_VERIFY_PARAM_set_flags(parameters, flags)
        X509_VERIFY_PARAM_set_purpose(parameters, purpose.openSSLPurpose)
    }
}

/// Certificates of one of OpenSSL's stacks, those left out that our strict reader refuses.
func certificateChain(_ stack: OpaquePointer?) -> [Certificate] {
    certificatePointers(stack).compactMap { try? Certificate(sharing: $0) }
}

/// The `X509`s of one of OpenSSL's stacks, which may be nil.
func certificatePointers(_ stack: OpaquePointer?) -> [OpaquePointer] {
    guard let stack else { return [] }
    return (0..<COpenSSL_sk_X509_num(stack)).compactMap { COpenSSL_sk_X509_value(stack, $0) }
}
