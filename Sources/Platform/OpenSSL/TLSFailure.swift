import COpenSSL

/// Why a TLS session failed: a kind to count by, and the words for the log.
package struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The raw values are stable: metrics and audit events carry them.
    package enum Kind: String, Sendable, CaseIterable {
        case noCertificate = "no_certificate"
        case unknownIssuer = "unknown_issuer"
        case expired
        case notYetValid = "not_yet_valid"
        case revoked
        /// Its authority's list is missing, not valid yet or out of date: nobody can say whether it is revoked.
        case revocationUnknown = "revocation_unknown"
        case wrongPurpose = "wrong_purpose"
        case authorityAsLeaf = "authority_as_leaf"
        case chainTooLong = "chain_too_long"
        case weakCertificate = "weak_certificate"
        case wrongName = "wrong_name"
        case invalidCertificate = "invalid_certificate"
        /// A client asked for none that the server has, or for no name at all.
        case unknownServerName = "unknown_server_name"
        case protocolMismatch = "protocol_mismatch"
        case applicationProtocol = "application_protocol"
        case plaintextHTTP = "plaintext_http"
        case garbage
        case peerAlert = "peer_alert"
        case truncated
        case keyUpdateFlood = "key_update_flood"
        /// What holds our own private key did not use it.
        case keyUnavailable = "key_unavailable"
        case other
    }

    package let kind: Kind
    package let detail: String
    /// The peer's alert in OpenSSL's words, such as "unknown CA"; only with `.peerAlert`.
    package let alert: String?

    package init(_ kind: Kind, _ detail: String, alert: String? = nil) {
        self.kind = kind
        self.detail = detail
        self.alert = alert
    }

    package var description: String { detail }

    /// Whether the peer says that it does not know who has certified us (RFC 8446 §6.2).
    package var isUnknownCA: Bool {
        alert == String(cString: SSL_alert_desc_string_long(SSL_AD_UNKNOWN_CA))
    }

    /// What OpenSSL left on the error stack; `verification` is what our own callbacks said of the peer.
    init(_ entries: [ErrorStack.Entry], verification: TLSFailure?) {
        let words = entries.map(\.text).joined(separator: "; ")
        let reasons = entries.filter { $0.library == ERR_LIB_SSL }.map(\.reason)
        if entries.contains(where: { $0.library == ERR_LIB_USER && $0.reason == HeldKey.reason }) {
            self.init(.keyUnavailable, "what holds the private key did not sign")
            return
        }
        let isOurs = reasons.contains { $0 == SSL_R_CERTIFICATE_VERIFY_FAILED || $0 == SSL_R_CALLBACK_FAILED }
        if isOurs, let verification {
            self = verification
            return
        }
        for reason in reasons {
            // Above the alerts, which are a byte, lie reasons that all of OpenSSL's libraries have in common.
            if reason >= SSL_AD_REASON_OFFSET, reason <= SSL_AD_REASON_OFFSET + 255 {
                let name = String(cString: SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET))
                self.init(.peerAlert, "the peer's alert: \(name)", alert: name)
                return
            }
            if let kind = Self.kinds[reason] {
                self.init(kind, words)
                return
            }
        }
        self.init(.other, words.isEmpty ? "no reason given" : words)
    }

    /// The verification error whose TLS alert fits a refusal of our own (RFC 8446 §6.2).
    var alertingError: Int32 {
        switch kind {
        case .expired: X509_V_ERR_CERT_HAS_EXPIRED
        case .revoked: X509_V_ERR_CERT_REVOKED
        case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
        case .chainTooLong: X509_V_ERR_CERT_CHAIN_TOO_LONG
        case .wrongPurpose, .authorityAsLeaf: X509_V_ERR_INVALID_PURPOSE
        default: X509_V_ERR_CERT_REJECTED
        }
    }

    private static let kinds: [Int32: Kind] = [
        SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: .noCertificate,
        SSL_R_HTTP_REQUEST: .plaintextHTTP, SSL_R_HTTPS_PROXY_REQUEST: .plaintextHTTP,
        SSL_R_UNSUPPORTED_PROTOCOL: .protocolMismatch, SSL_R_NO_PROTOCOLS_AVAILABLE: .protocolMismatch,
        SSL_R_VERSION_TOO_LOW: .protocolMismatch, SSL_R_VERSION_TOO_HIGH: .protocolMismatch,
        SSL_R_WRONG_SSL_VERSION: .protocolMismatch, SSL_R_NO_SHARED_CIPHER: .protocolMismatch,
        SSL_R_NO_SHARED_GROUPS: .protocolMismatch, SSL_R_NO_SUITABLE_KEY_SHARE: .protocolMismatch,
        SSL_R_NO_SUITABLE_GROUPS: .protocolMismatch, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: .protocolMismatch,
        SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM: .protocolMismatch, SSL_R_INAPPROPRIATE_FALLBACK: .protocolMismatch,
        SSL_R_NO_APPLICATION_PROTOCOL: .applicationProtocol,
        SSL_R_WRONG_VERSION_NUMBER: .garbage, SSL_R_UNKNOWN_PROTOCOL: .garbage,
        SSL_R_BAD_RECORD_TYPE: .garbage, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: .garbage,
        SSL_R_UNEXPECTED_MESSAGE: .garbage, SSL_R_PACKET_LENGTH_TOO_LONG: .garbage,
        SSL_R_ENCRYPTED_LENGTH_TOO_LONG: .garbage, SSL_R_DATA_LENGTH_TOO_LONG: .garbage,
        SSL_R_LENGTH_MISMATCH: .garbage, SSL_R_LENGTH_TOO_SHORT: .garbage, SSL_R_LENGTH_TOO_LONG: .garbage,
        SSL_R_BAD_LENGTH: .garbage, SSL_R_BAD_EXTENSION: .garbage, SSL_R_BAD_HANDSHAKE_LENGTH: .garbage,
        SSL_R_BAD_DIGEST_LENGTH: .garbage, SSL_R_DIGEST_CHECK_FAILED: .garbage, SSL_R_BAD_SIGNATURE: .garbage,
        SSL_R_RECORD_TOO_SMALL: .garbage, SSL_R_UNEXPECTED_RECORD: .garbage,
        SSL_R_APP_DATA_IN_HANDSHAKE: .garbage, SSL_R_CCS_RECEIVED_EARLY: .garbage,
        SSL_R_UNKNOWN_ALERT_TYPE: .garbage, SSL_R_BAD_KEY_SHARE: .garbage, SSL_R_BAD_ECPOINT: .garbage,
        SSL_R_UNEXPECTED_EOF_WHILE_READING: .truncated,
    ]
}
