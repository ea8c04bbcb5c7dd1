import OpenSSL

/// The last proof before an identity is put into service: real handshakes in memory.
enum IdentityTest {
    static func run(_ identity: TLSIdentity, wish: CertificateWish, trust: TrustAnchors) throws(OpenSSLError) {
        guard wish.server else {
            _ = try TLSContext.client(identity: identity, trust: trust, serverName: nil)
            return
        }
        let context = try TLSContext.server(identity: identity, trust: trust)
        // A wildcard is no name that a client asks for.
        let name = wish.dnsNames.first { !$0.hasPrefix("*") }
        try TLSContext.selfTest(context, trust: trust, serverName: name)
    }
}
