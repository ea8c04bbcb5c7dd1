import OpenSSL

/// One request over HTTPS, with its limits.
package struct HTTPRequest: Sendable {
    package var method: String
    /// `https://` only; `http://` only of a client whose trust is `plaintext`.
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// From the call to the last byte of the answer.
    package var timeout: Duration
    /// To the end of the TLS handshake.
    package var connectTimeout: Duration
    /// A longer body ends the transfer with `tooLarge`.
    package var responseLimit: Int
    /// HTTP Basic; sent only to a server that was verified.
    package var basicPassword: SecretReference?
    /// May be empty (RFC 7030 §3.2.3).
    package var basicUser = ""
    /// The body of a good answer is kept as a secret: it arrives in `HTTPResponse.secret`.
    package var answersSecret = false
    /// Bytes a second at which the body is sent at most.
    package var sendRate: Int?
    /// A transfer that moves less than 1 KiB a second for so long has failed.
    package var stallTimeout: Duration?

    package init(
        _ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        timeout: Duration = .seconds(60), connectTimeout: Duration = .seconds(10), responseLimit: Int = 256 << 10,
        basicPassword: SecretReference? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.responseLimit = responseLimit
        self.basicPassword = basicPassword
    }

    /// Why it must not be sent at all; nil if it may.
    func refusal(on trust: ClientTrust) -> String? {
        if case .provisional = trust, basicPassword != nil {
            return "a password is sent only to a server that was verified"
        }
        if case .plaintext = trust {
            if basicPassword != nil || answersSecret { return "nothing secret goes over plain http" }
            if !url.hasPrefix("http://") { return "only plain http is spoken, not \(url.prefix { $0 != ":" })" }
        } else if !url.hasPrefix("https://") {
            return "only https is spoken, not \(url.prefix { $0 != ":" })"
        }
        let isToken = !method.isEmpty && method.utf8.allSatisfy { (65...90).contains($0) }
        // A line break in a value would begin a header, or a request, of the value's author.
        let areHeadersWhole = headers.allSatisfy { header in
            let bytes = Array((header.name + header.value).utf8)
            return !header.name.isEmpty && !header.name.contains(":") && bytes.allSatisfy { $0 >= 32 && $0 != 127 }
        }
        // The first colon would end the name (RFC 7617 §2).
        let isUserWhole = basicUser.utf8.allSatisfy { $0 >= 32 && $0 != 127 && $0 != UInt8(ascii: ":") }
        return isToken && areHeadersWhole && isUserWhole
            ? nil : "the method, a header or the user has a character that HTTP does not allow"
    }
}

/// Any answer of the server, redirects and refusals included: the caller decides what they mean.
package struct HTTPResponse: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// The body instead, where the request asked for that and the status is 2xx.
    package let secret: SecretReference?
    /// The server's, leaf first; with provisional trust nothing vouches for it.
    package let peerChain: [Certificate]

    /// The first of that name, whatever its case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// No answer came, and why.
package struct HTTPError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        case resolve, connect, timeout
        /// The server's certificate or name is not trusted.
        case tlsPeer
        /// The server refused our certificate, or that we have none (an alert).
        case tlsSelf
        /// TLS failed otherwise.
        case tls
        /// The body or the headers are longer than allowed.
        case tooLarge
        /// A request that must not be sent on this client at all.
        case notAllowed
        case protocolError, cancelled
    }

    package let kind: Kind
    /// libcurl's or OpenSSL's own words.
    package let detail: String

    package init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }

    package var description: String { detail }

    static let wasCancelled = HTTPError(.cancelled, "the request was cancelled")
}

/// Whom a client believes.
package enum ClientTrust: Sendable {
    case anchors(TrustAnchors)
    /// Anybody: for fetching `/cacerts` before the pin is checked, and nothing else. Each request has a connection
    /// and a TLS session of its own, and none may carry a password or an identity (RFC 7030 §4.1.1).
    case provisional
    /// Nobody is verified and nothing is hidden: only `http://`, to a server that somebody has named as one that is
    /// reached so.
    case plaintext
}
