import COpenSSL

/// What both sides have agreed on.
extension TLSSession {
    /// "TLSv1.3".
    package var version: String { String(cString: SSL_get_version(ssl)) }

    /// "TLS_AES_128_GCM_SHA256"; empty before there is one.
    package var cipher: String {
        guard let current = SSL_get_current_cipher(ssl), let name = SSL_CIPHER_get_name(current) else { return "" }
        return String(cString: name)
    }

    package var applicationProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        guard let name, count > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// What the peer is shown.
    package var ownCertificate: Certificate? {
        guard let named = context.named else { return context.identity?.leaf }
        let shown = SSL_get_certificate(ssl)
        return named.identities.first { $0.leaf.pointer == shown }?.leaf
    }

    /// What the client asked for (SNI); nil, too, for what can be no host name (RFC 6066 §3: ASCII).
    package var serverName: String? {
        guard let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
        let text = String(cString: name)
        return text.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? text : nil
    }
}
