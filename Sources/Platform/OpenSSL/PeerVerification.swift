import COpenSSL
import Glibc

/// How a context verifies the other side: OpenSSL's verification, then our own rules, inside the handshake, so that
/// a refused peer gets an alert and never a finished handshake.
enum PeerVerification {
    static func install(
        in context: OpaquePointer, trust: TrustAnchors, purpose: CertificatePurpose
    ) throws(OpenSSLError) {
        SSL_CTX_set1_cert_store(context, trust.store)
        trust.configure(SSL_CTX_get0_param(context), purpose: purpose)
        // VERIFY_PEER alone accepts a client without any certificate, and reports that all is well.
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_cert_verify_callback(context, verify, nil)
    }

    /// The name or literal address that the server's certificate must have, in its alternative names.
    static func expect(_ name: String, in parameters: OpaquePointer?) throws(OpenSSLError) {
        X509_VERIFY_PARAM_set_hostflags(
            parameters,
            UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS) | UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        try openSSL(
            "expect the server name \(name)",
            isOne: {
                X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1
                    ? 1 : X509_VERIFY_PARAM_set1_host(parameters, name, 0)
            })
        ErrorStack.clear()
    }

    /// A literal address is never sent as a server name (RFC 6066 §3).
    static func isAddress(_ name: String) -> Bool {
        guard let octets = a2i_IPADDRESS(name) else {
            ErrorStack.clear()
            return false
        }
        ASN1_OCTET_STRING_free(octets)
        return true
    }

    private static let verify: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
        guard let store, let session = session(of: store), let leaf = X509_STORE_CTX_get0_cert(store) else { return 0 }
        if session.isSelfTest { return isOwn(leaf, of: session) ? 1 : 0 }
        switch session.isServer ? verdictOnClient(leaf, in: store, of: session) : verdict(leaf, in: store, of: session)
        {
        case .success(let chain):
            session.peerVerified(chain)
            return 1
        case .failure(let refusal):
            if X509_STORE_CTX_get_error(store) == X509_V_OK {
                X509_STORE_CTX_set_error(store, refusal.alertingError)
            }
            return session.peerRefused(refusal)
        }
    }

    /// Whether it is the certificate that this side has itself.
    private static func isOwn(_ certificate: OpaquePointer, of session: TLSSession) -> Bool {
        session.context.identity.map { X509_cmp($0.leaf.pointer, certificate) == 0 } ?? false
    }

    /// A chain that was verified before needs no second look at its signatures; our own rules hold each time.
    private static func verdictOnClient(
        _ leaf: OpaquePointer, in store: OpaquePointer, of session: TLSSession
    ) -> Result<[Certificate], TLSFailure> {
        let now = Int64(time(nil))
        let key = VerifiedChains.key([leaf] + certificatePointers(X509_STORE_CTX_get0_untrusted(store)))
        let known = key.flatMap { session.context.verifiedChains.chain($0, at: now) }
        let chain: [Certificate]
        if let known, VerifiedChains.adopt(known, in: store) {
            chain = known
        } else {
            switch verdict(leaf, in: store, of: session) {
            case .success(let verified): chain = verified
            case .failure(let refusal): return .failure(refusal)
            }
        }
        guard let first = chain.first else { return .failure(TLSFailure(.noCertificate, "there is no certificate")) }
        if let refusal = PeerRules.refusal(of: first, chainCount: chain.count, purpose: .client, at: now) {
            return .failure(refusal)
        }
        // Of what is remembered too: it costs some microseconds, and a list may have ended since.
        if let refusal = session.context.trust?.refusal(of: chain, at: now) { return .failure(refusal) }
        if known == nil, let key { session.context.verifiedChains.remember(chain, key) }
        if let key { session.proved(chain, key, at: now) }
        return .success(chain)
    }

    /// OpenSSL's own verification; then each certificate is read strictly. A server is judged by nothing more: many
    /// good ones have certificates without any extended key usage.
    private static func verdict(
        _ leaf: OpaquePointer, in store: OpaquePointer, of session: TLSSession
    ) -> Result<[Certificate], TLSFailure> {
        guard X509_verify_cert(store) == 1, X509_STORE_CTX_get_error(store) == X509_V_OK else {
            // OpenSSL finds no issuer for a certificate that it cannot read, and would blame the issuer.
            guard X509_get_extension_flags(leaf) & UInt32(EXFLAG_INVALID) == 0 else {
                return .failure(
                    TLSFailure(.invalidCertificate, "an extension cannot be decoded, or is there twice"))
            }
            return .failure(
                PeerRules.failure(
                    code: X509_STORE_CTX_get_error(store), depth: X509_STORE_CTX_get_error_depth(store),
                    isAuthorityLeaf: X509_get_extension_flags(leaf) & UInt32(EXFLAG_CA) != 0))
        }
        var chain: [Certificate] = []
        for certificate in certificatePointers(X509_STORE_CTX_get0_chain(store)) {
            do throws(OpenSSLError) { chain.append(try session.context.certificates.certificate(certificate)) } catch {
                return .failure(TLSFailure(.invalidCertificate, error.description))
            }
        }
        return .success(chain)
    }

    /// The session whose handshake this verification belongs to.
    private static func session(of store: OpaquePointer) -> TLSSession? {
        TLSSession.owner(
            of: X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()).map { OpaquePointer($0) })
    }
}
