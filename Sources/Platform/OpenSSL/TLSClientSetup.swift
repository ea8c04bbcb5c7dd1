import COpenSSL

/// For libcurl only, whose callbacks hand over raw OpenSSL objects: the agent's rules for its own outgoing calls.
package enum TLSClientSetup {
    /// Gives a fresh `SSL_CTX` (CURLOPT_SSL_CTX_FUNCTION) our policy, trust and identity; false when it fails, and
    /// then the connection must not be made.
    ///
    /// The store is replaced, never added to. Without `trust` nothing verifies the server: the caller must send no
    /// secret. Host names are libcurl's to check.
    package static func apply(
        trust: TrustAnchors?, identity: TLSIdentity?, to rawContext: UnsafeMutableRawPointer
    ) -> Bool {
        let context = OpaquePointer(rawContext)
        do throws(OpenSSLError) {
            try TLSPolicy.apply(to: context)
            try TLSPolicy.limit(context, minimum: .tls12, maximum: .tls13)
            try TLSPolicy.forbidResumption(context)
            // Keys come this way: what was read is wiped in OpenSSL's own buffers.
            SSL_CTX_set_options(context, COpenSSL_OP_CLEANSE_PLAINTEXT)
            if let trust {
                SSL_CTX_set1_cert_store(context, trust.store)
                trust.configure(SSL_CTX_get0_param(context), purpose: .server)
                SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
            }
            try identity?.apply(to: context)
            return true
        } catch {
            return false
        }
    }

    /// The chain of a raw `SSL` (CURLINFO_TLS_SSL_PTR), leaf first: the verified one, else what the server sent.
    package static func peerChain(ofRawSession rawSession: UnsafeMutableRawPointer) -> [Certificate] {
        let session = OpaquePointer(rawSession)
        let verified = certificateChain(SSL_get0_verified_chain(session))
        return verified.isEmpty ? certificateChain(SSL_get_peer_cert_chain(session)) : verified
    }
}
