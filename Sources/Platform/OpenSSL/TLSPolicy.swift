import COpenSSL

package enum TLSVersion: String, Sendable, CaseIterable {
    case tls12 = "TLSv1.2"
    case tls13 = "TLSv1.3"

    var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// What every TLS context of the agent has in common: nothing is left to OpenSSL's defaults or the system's file.
enum TLSPolicy {
    /// Level 2: 112 bits. Level 3 would refuse RSA-2048.
    static let securityLevel: Int32 = 2
    /// Forward secrecy and authenticated encryption only; the defaults of level 2 still offer CBC and static RSA.
    static let ciphersOf12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ]
    static let suitesOf13 = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]
    static let groups = ["X25519", "P-256", "P-384"]
    static let signatureAlgorithms = [
        "ecdsa_secp256r1_sha256", "ed25519", "ecdsa_secp384r1_sha384",
        "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512",
        "rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512",
    ]

    static func apply(to context: OpaquePointer) throws(OpenSSLError) {
        SSL_CTX_set_security_level(context, securityLevel)
        let operation = "set up a TLS context"
        try openSSL(operation, isOne: { SSL_CTX_set_cipher_list(context, ciphersOf12.joined(separator: ":")) })
        try openSSL(operation, isOne: { SSL_CTX_set_ciphersuites(context, suitesOf13.joined(separator: ":")) })
        try openSSL(operation, isOne: { COpenSSL_SSL_CTX_set1_groups_list(context, groups.joined(separator: ":")) })
        let signatures = signatureAlgorithms.joined(separator: ":")
        try openSSL(operation, isOne: { COpenSSL_SSL_CTX_set1_sigalgs_list(context, signatures) })
        try openSSL(operation, isOne: { COpenSSL_SSL_CTX_set1_client_sigalgs_list(context, signatures) })
        SSL_CTX_set_options(
            context,
            COpenSSL_OP_NO_RENEGOTIATION | COpenSSL_OP_CIPHER_SERVER_PREFERENCE | COpenSSL_OP_NO_COMPRESSION
                | COpenSSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION)
        _ = COpenSSL_SSL_CTX_set_max_cert_list(context, PeerRules.chainBytesLimit)
        _ = COpenSSL_SSL_CTX_set_mode(context, Int(SSL_MODE_NO_AUTO_CHAIN))
    }

    static func limit(
        _ context: OpaquePointer, minimum: TLSVersion, maximum: TLSVersion
    ) throws(OpenSSLError) {
        let operation = "set the TLS versions"
        try openSSL(operation, isOne: { COpenSSL_SSL_CTX_set_min_proto_version(context, minimum.number) })
        try openSSL(operation, isOne: { COpenSSL_SSL_CTX_set_max_proto_version(context, maximum.number) })
    }

    /// No session is ever taken up again, unless `SessionTickets` says how: a verdict on a certificate holds for one
    /// connection.
    ///
    /// All three are needed: NO_TICKET alone leaves TLS 1.3 with stateful tickets and their unbounded cache
    /// (SSL_CTX_set_options(3), CVE-2024-2511). 0-RTT is off with them.
    static func forbidResumption(_ context: OpaquePointer) throws(OpenSSLError) {
        SSL_CTX_set_options(context, COpenSSL_OP_NO_TICKET)
        _ = COpenSSL_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        try openSSL("forbid tickets", isOne: { SSL_CTX_set_num_tickets(context, 0) })
        try openSSL("forbid early data", isOne: { SSL_CTX_set_max_early_data(context, 0) })
        try openSSL("forbid early data", isOne: { SSL_CTX_set_recv_max_early_data(context, 0) })
        let mark = secureRandom(32)
        try openSSL("mark the sessions of a context", isOne: { SSL_CTX_set_session_id_context(context, mark, 32) })
    }

    /// What `TLSSession` relies on: see there.
    static func setSessionModes(_ context: OpaquePointer) {
        let modes =
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
            | Int(SSL_MODE_RELEASE_BUFFERS)
        _ = COpenSSL_SSL_CTX_set_mode(context, modes)
    }
}
