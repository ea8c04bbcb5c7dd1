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
    package var ownCertificate: Certificate? { context.identity?.leaf }

    /// What the client asked for (SNI).
    package var serverName: String? {
        SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
    }
}
