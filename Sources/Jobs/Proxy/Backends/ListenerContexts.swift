import OpenSSL

/// TLS on both sides of a listener, made from one certificate and tested together.
struct ListenerContexts: Sendable {
    /// nil: the clients of a tunnel speak in clear.
    let server: TLSContext?
    /// Whose clients `server` lets in; who certifies a tunnel's remote end.
    let anchors: TrustAnchors
    /// nil: the database is reached in clear.
    let backend: BackendSecurity?

    /// The one that shows the listener's certificate.
    var presenting: TLSContext? { server ?? backend?.context }

    /// A tunnel's remote end is held to the standing, as a listener's clients are.
    func holding(_ standing: Standing) -> ListenerContexts {
        guard server == nil else { return self }
        return ListenerContexts(server: nil, anchors: anchors, backend: backend?.holding(standing))
    }
}
