import COpenSSL

/// A certificate chain and the private key of its leaf, which belong together.
package final class TLSIdentity: Sendable {
    /// Leaf first.
    package let chain: [Certificate]
    package let leaf: Certificate
    package let key: PrivateKey

    package init(chain: [Certificate], key: PrivateKey) throws(OpenSSLError) {
        guard let leaf = chain.first else { throw OpenSSLError("join certificate and key", "the chain is empty") }
        guard chain.count <= PeerRules.chainLimit else {
            throw OpenSSLError("join certificate and key", "the chain is too long")
        }
        guard key.matches(leaf) else {
            throw OpenSSLError("join certificate and key", "the key does not belong to \(leaf)")
        }
        self.chain = chain
        self.leaf = leaf
        self.key = key
    }

    package convenience init(chainFile: [UInt8], keyFile: String) throws(OpenSSLError) {
        try self.init(chain: try Certificate.parsePEM(chainFile), key: try PrivateKey(pemFile: keyFile))
    }

    /// A root is not sent, since peers have it or do not trust it.
    var sentAuthorities: [Certificate] { chain.dropFirst().filter { !$0.isSelfSigned } }

    /// Puts leaf, intermediates and key into a context.
    func apply(to context: OpaquePointer) throws(OpenSSLError) {
        try openSSL("use certificate \(leaf)", isOne: { SSL_CTX_use_certificate(context, leaf.pointer) })
        try openSSL("use the key of \(leaf)", isOne: { SSL_CTX_use_PrivateKey(context, key.pointer) })
        try openSSL("check the key of \(leaf)", isOne: { SSL_CTX_check_private_key(context) })
        try openSSL("use the chain of \(leaf)", isOne: { COpenSSL_SSL_CTX_clear_chain_certs(context) })
        for certificate in sentAuthorities {
            try openSSL(
                "use the chain of \(leaf)",
                isOne: { COpenSSL_SSL_CTX_add1_chain_cert(context, certificate.pointer) })
        }
    }
}
