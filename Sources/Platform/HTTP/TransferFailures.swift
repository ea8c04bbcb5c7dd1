import CCurl

extension HTTPError.Kind {
    /// Of libcurl's code and its words.
    init(_ result: CURLcode, _ words: String) {
        self =
            switch result {
            case CURLE_COULDNT_RESOLVE_HOST: .resolve
            case CURLE_COULDNT_CONNECT: .connect
            case CURLE_OPERATION_TIMEDOUT: .timeout
            // So it reports the alert certificate_expired too (vtls/openssl.c, ossl_connect_step2).
            case CURLE_PEER_FAILED_VERIFICATION where words == "SSL certificate verification failed": .tlsSelf
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: .tlsPeer
            case CURLE_SSL_CONNECT_ERROR, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
                Self.kind(ofConnectionError: words, isHandshake: result == CURLE_SSL_CONNECT_ERROR)
            case CURLE_GOT_NOTHING: .connect
            case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED: .notAllowed
            default: .protocolError
            }
    }

    /// With TLS 1.3 a client learns only after the handshake that its certificate is refused, when it reads. Only
    /// OpenSSL's text of the alert reaches us through libcurl (RFC 8446 §6.2; ssl_err.c). Where the server resets the
    /// connection before the request is out, the alert stays unread and this is `connect`: the next attempt may tell.
    private static func kind(ofConnectionError words: String, isHandshake: Bool) -> HTTPError.Kind {
        let refusals = ["certificate", "unknown ca", "access denied"]
        if words.contains(" alert "), refusals.contains(where: words.contains) { return .tlsSelf }
        return isHandshake || words.contains("SSL routines") ? .tls : .connect
    }
}
