import HTTP

/// Why the plane gave no good answer, classed by what is to be done about it (RFC 7030 §4.2.3, and the refusals of the
/// plane's own API).
package struct PlaneError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No connection, or no answer in time: again later.
        case unreachable
        /// 5xx: again later.
        case failing
        /// The server is not the one we trust.
        case untrusted
        /// The server does not take our certificate.
        case identityRefused
        /// 202: the same request again after `retryAfter`; not a failure.
        case pending
        /// 401: the token or the identity is not accepted.
        case unauthorized
        /// 403: this node may not have that.
        case denied
        /// 400, 415, 422: the request itself is wrong.
        case request
        /// 404, 405, 406, 501: the address or the label is wrong.
        case configuration
        /// A redirect that is not followed.
        case redirect
        /// 409 of an audit batch: the plane expects this number.
        case conflict(next: UInt64)
        /// 413.
        case tooLarge
        /// 429, 503: again after `retryAfter`.
        case throttled
        /// 409, 423: something else is under way.
        case busy
        /// An answer that is not what the protocol says.
        case protocolError
    }

    package let kind: Kind
    package let detail: String
    package let retryAfter: Duration?
    /// The plane's stable word for its refusal, such as `token-spent`.
    package let reason: String?
    /// What time it is for the server, in seconds since 1970: a hint, never believed.
    package let serverTime: Int64?

    package init(
        _ kind: Kind, _ detail: String, retryAfter: Duration? = nil, reason: String? = nil, serverTime: Int64? = nil
    ) {
        self.kind = kind
        self.detail = detail
        self.retryAfter = retryAfter
        self.reason = reason
        self.serverTime = serverTime
    }

    package var description: String { detail }

    init(_ error: HTTPError) {
        let kind: Kind =
            switch error.kind {
            case .tlsPeer: .untrusted
            case .tlsSelf: .identityRefused
            case .tooLarge, .protocolError: .protocolError
            case .notAllowed: .configuration
            case .resolve, .connect, .timeout, .tls, .cancelled: .unreachable
            }
        self.init(kind, error.detail)
    }
}
