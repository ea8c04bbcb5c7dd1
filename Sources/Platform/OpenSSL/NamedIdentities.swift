import COpenSSL

/// The certificates of one server, chosen by the name that a client asks for (SNI, RFC 6066 §3).
///
/// The choice changes the certificate and the key of one session and nothing else: whom the server trusts, that it
/// demands a certificate, and the mark of its sessions belong to the one context that all names have. So
/// SSL_set_SSL_CTX is never called: it would swap the verification callback and keep the verification mode
/// (openssl/openssl#352), and every session would be verified by halves of two contexts.
final class NamedIdentities: Sendable {
    /// The first is shown to who asks for no name, or for one that nobody has.
    let identities: [TLSIdentity]
    private let refusesUnknownNames: Bool
    private let exact: [String: Int]
    /// By what follows the first label, with its dot.
    private let wildcards: [String: Int]
    /// Above each leaf, as OpenSSL wants them.
    private nonisolated(unsafe) let chains: [OpaquePointer]

    init(_ identities: [TLSIdentity], refusesUnknownNames: Bool) {
        self.identities = identities
        self.refusesUnknownNames = refusesUnknownNames
        var exact: [String: Int] = [:]
        var wildcards: [String: Int] = [:]
        for (index, identity) in identities.enumerated() {
            for name in identity.leaf.dnsNames.map({ $0.lowercased() }) {
                // RFC 6125 §6.4.3: the whole first label, and no other.
                if name.hasPrefix("*.") {
                    let suffix = String(name.dropFirst())
                    wildcards[suffix] = wildcards[suffix] ?? index
                } else if !name.contains("*") {
                    exact[name] = exact[name] ?? index
                }
            }
        }
        (self.exact, self.wildcards) = (exact, wildcards)
        chains = identities.map { identity in
            guard let stack = COpenSSL_sk_X509_new() else { preconditionFailure("out of memory") }
            for certificate in identity.sentAuthorities {
                X509_up_ref(certificate.pointer)
                precondition(COpenSSL_sk_X509_push(stack, certificate.pointer) > 0, "out of memory")
            }
            return stack
        }
    }

    deinit { for chain in chains { COpenSSL_sk_X509_pop_free(chain) } }

    /// Which one has the name; of several, the first that has it without a wildcard.
    func index(of name: String) -> Int? {
        let name = name.lowercased()
        if let found = exact[name] { return found }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[dot...])]
    }

    /// The names under which a client is shown this one, in order.
    func names(of index: Int) -> [String] {
        exact.filter { $0.value == index }.keys.sorted()
            + wildcards.filter { $0.value == index }.keys.map { "*" + $0 }.sorted()
    }

    static func install(in context: OpaquePointer) {
        _ = COpenSSL_SSL_CTX_set_tlsext_servername_callback(context, choose)
    }

    /// Called in each handshake, also without a name (SSL_CTX_set_tlsext_servername_callback(3)).
    private static let choose:
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) -> Int32 = {
            ssl, alert, _ in
            guard let ssl, let session = TLSSession.owner(of: ssl), let named = session.context.named else {
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            let name = session.serverName
            guard let index = name.flatMap({ named.index(of: $0) }) else {
                // Whoever tests the certificate itself asks for no name.
                guard named.refusesUnknownNames, !session.isSelfTest else { return SSL_TLSEXT_ERR_NOACK }
                alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
                session.refuseName(name)
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            return named.show(index, on: ssl) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
        }

    private func show(_ index: Int, on ssl: OpaquePointer) -> Bool {
        if index == 0 { return true }
        let identity = identities[index]
        // One certificate of each kind of key would stay, and might be chosen instead.
        SSL_certs_clear(ssl)
        return SSL_use_cert_and_key(ssl, identity.leaf.pointer, identity.key.pointer, chains[index], 1) == 1
    }
}
