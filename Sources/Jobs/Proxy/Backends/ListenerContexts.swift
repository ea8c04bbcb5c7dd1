import OpenSSL

/// TLS on both sides of a listener, made from one certificate and tested together.
struct ListenerContexts: Sendable {
    let server: TLSContext
    /// Whose clients `server` lets in.
    let anchors: TrustAnchors
    /// nil: the database is reached in clear.
    let backend: BackendSecurity?
}
