extension RenewalStateMachine {
    /// Why a request for a certificate came to nothing, by what is to be done about it. The words are those of status,
    /// log and audit (`last_error_class`, `class`); each has one code among the reasons of the status document.
    package enum Failure: String, Sendable, CaseIterable {
        /// No connection, or no answer in time.
        case unreachable
        /// 5xx.
        case failing = "server"
        /// 429, 503.
        case throttled = "throttle"
        /// 409, 423.
        case busy
        /// Our own disk.
        case local
        /// The plane is not certified by whom we trust, or its root is not the pinned one.
        case untrusted = "tls_peer"
        case pinMismatch = "pin"
        /// It does not take us, or we not it, while the clocks of both differ: nobody is to be given up for that.
        case skewed = "skew"
        /// A TLS alert about our certificate; 401 for it.
        case identityRefused = "tls_self"
        case unauthorized = "auth"
        /// 403, for the identity and for the token.
        case denied
        case tokenDenied = "denied_token"
        /// 401 for the token; `tokenSpent` when the plane says that it will never take it.
        case tokenRefused = "auth_token"
        case tokenSpent = "auth_token_spent"
        /// 401 and 403 for the proof that the recovery key gives; `locked` when the plane takes none (423);
        /// `recoveryUnknown` when it has no such call.
        case recoveryRefused = "recovery"
        case locked
        case recoveryUnknown = "recovery_unknown"
        /// 400, 415, 422.
        case request
        /// 404, 405, 406, 501.
        case configuration = "config"
        /// A redirect that is not followed.
        case redirected = "redirect"
        /// What the server demands of a request and we cannot give.
        case unmet = "demand"
        /// An answer that is not EST.
        case unusableAnswer = "proto"
        /// A certificate that is not what was asked for.
        case unusableCertificate = "bad_issue"

        var isRejection: Bool {
            [.identityRefused, .unauthorized, .denied, .tokenDenied, .tokenRefused, .tokenSpent].contains(self)
        }

        var isAboutToken: Bool { [.tokenDenied, .tokenRefused, .tokenSpent].contains(self) }

        /// It says something of the plane and nothing of one certificate.
        var isAboutPlane: Bool { [.unreachable, .failing, .throttled, .busy, .untrusted, .skewed].contains(self) }

        /// The whole fleet has it at the same time.
        var isOutage: Bool { [.unreachable, .failing, .throttled, .busy].contains(self) }

        /// No pause is longer, an outage's excepted.
        var limit: Double {
            switch self {
            case .unreachable, .failing, .throttled, .busy, .local, .skewed: 900
            case .untrusted, .pinMismatch, .identityRefused, .unauthorized, .denied, .tokenDenied, .tokenRefused,
                .tokenSpent, .recoveryRefused, .locked, .recoveryUnknown, .unusableAnswer, .unusableCertificate:
                3600
            case .request, .configuration, .redirected, .unmet: 6 * 3600
            }
        }
    }
}
