import FoundationEssentials
import HTTP
import IO
import OpenSSL
import PlaneAPI

/// What `/cacerts` gave, and the server's idea of the time (from its Date header: a hint, never trusted).
package struct Authorities: Sendable {
    package let certificates: [Certificate]
    package let serverTime: Int64?
    /// Which certificates of this node the plane wants to be replaced before they are due.
    package var renewals: [RenewalWindow] = []
}

/// EST (RFC 7030, RFC 8951) against any server.
package enum ESTClient {
    private static let mediaType = "application/pkcs7-mime"

    /// Fetches the authorities from a server that is not trusted yet. There is no way to give this a token: what
    /// comes is worth nothing until its root's pin is checked (RFC 7030 §4.1.1).
    package static func provisionalAuthorities(
        url: String, label: String, lane: Lane, timeout: Duration = .seconds(60)
    ) async throws(PlaneError) -> Authorities {
        let client = HTTPClient(lane: lane, trust: .provisional, identity: nil)
        let result: Result<Authorities, PlaneError>
        do throws(PlaneError) {
            result = .success(try await authorities(client, url: url, label: label, timeout: timeout))
        } catch {
            result = .failure(error)
        }
        await client.close()
        return try result.get()
    }

    static func authorities(
        _ client: HTTPClient, url: String, label: String, timeout: Duration
    ) async throws(PlaneError) -> Authorities {
        let what = "fetch the authorities"
        let request = HTTPRequest(
            "GET", url + EST.path(label: label, operation: .authorities), headers: [("Accept", mediaType)],
            timeout: timeout)
        let response = try await answer(to: request, client, doing: what)
        return Authorities(
            certificates: try certificates(in: response, doing: what),
            serverTime: response.header("date").flatMap(HTTPDate.parse),
            renewals: response.header(TrustNews.renewalHeader).map(RenewalWindow.all) ?? [])
    }

    /// What the server wishes to find in a request at this label (RFC 7030 §4.5). One that has no wishes, or tells
    /// them to nobody like us, gets the request as the configuration has it, and decides then.
    static func wishes(
        _ client: HTTPClient, url: String, label: String, keyKind: KeyKind, timeout: Duration
    ) async throws(PlaneError) -> RequestWishes {
        let what = "ask for the attributes of a request"
        let request = HTTPRequest(
            "GET", url + EST.path(label: label, operation: .attributes), headers: [("Accept", RequestWishes.mediaType)],
            timeout: timeout)
        let response = try await answer(to: request, client, doing: what)
        switch response.status {
        case 200:
            try check(type: RequestWishes.mediaType, of: response, doing: what)
            return try digested(response, doing: what) { body throws(PlaneError) in
                try RequestWishes(inBase64: body, configured: keyKind)
            }
        case 204, 404, 405, 406, 501: return RequestWishes(keyKind: keyKind)
        case 401, 403:
            return RequestWishes(
                keyKind: keyKind, unmet: ["attributes that it does not tell this node (\(response.status))"])
        default: throw Answer.error(of: response, doing: what)
        }
    }

    /// The certificates of the answer; which of them is ours only its key tells.
    static func enroll(
        _ client: HTTPClient, url: String, label: String, operation: EST.Operation, request der: [UInt8],
        token: SecretReference?, user: String = "", timeout: Duration
    ) async throws(PlaneError) -> [Certificate] {
        let what = operation == .enroll ? "ask for a certificate" : "renew the certificate"
        var request = HTTPRequest(
            "POST", url + EST.path(label: label, operation: operation),
            headers: [
                ("Accept", mediaType), ("Content-Type", "application/pkcs10"), ("Content-Transfer-Encoding", "base64"),
            ],
            body: wrapped(der), timeout: timeout, basicPassword: token)
        request.basicUser = user
        return try certificates(in: try await answer(to: request, client, doing: what), doing: what)
    }

    /// At most 76 columns, each line with CRLF: what even the strictest readers take (libest#100).
    static func wrapped(_ der: [UInt8]) -> [UInt8] {
        let base64 = Array(Data(der).base64EncodedData())
        var lines: [UInt8] = []
        for start in stride(from: 0, to: base64.count, by: 76) {
            lines += base64[start..<min(start + 76, base64.count)] + [0x0D, 0x0A]
        }
        return lines
    }

    private static func answer(
        to request: HTTPRequest, _ client: HTTPClient, doing what: String
    ) async throws(PlaneError) -> HTTPResponse {
        var request = request
        for _ in 0...Redirect.limit {
            let response = try await sendRequest(request, client)
            guard Redirect.statuses.contains(response.status) else { return response }
            request.url = try Redirect.target(response.header("location"), from: request.url, doing: what)
        }
        throw PlaneError(.redirect, "\(what): the plane redirected it more than \(Redirect.limit) times")
    }

    private static func certificates(
        in response: HTTPResponse, doing what: String
    ) throws(PlaneError) -> [Certificate] {
        guard response.status == 200 else { throw Answer.error(of: response, doing: what) }
        try check(type: mediaType, of: response, doing: what)
        return try digested(response, doing: what) { body throws(PlaneError) in
            try CertificateBag.certificates(inBase64: body)
        }
    }

    /// The media type alone counts, but nobody is let send a key (RFC 7030 §4.4), or a CMC answer, for certificates.
    private static func check(type expected: String, of response: HTTPResponse, doing what: String) throws(PlaneError) {
        let type = response.header("content-type")?.lowercased() ?? "none"
        let media = type.prefix { $0 != ";" && $0 != " " && $0 != "\t" }
        let isForeign = type.contains("smime-type") && !type.contains("certs-only")
        guard media == expected, !isForeign else {
            throw PlaneError(
                .protocolError,
                "\(what): the answer's type is \(Answer.printable(String(type.prefix(80)))), not \(expected)")
        }
    }

    /// An answer that cannot be read is named by its digest, so that it can be found in the server's records.
    private static func digested<Value>(
        _ response: HTTPResponse, doing what: String, _ read: ([UInt8]) throws(PlaneError) -> Value
    ) throws(PlaneError) -> Value {
        do throws(PlaneError) {
            return try read(response.body)
        } catch {
            let digest = Digest.sha256(response.body).map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }.joined()
            throw PlaneError(
                error.kind,
                "\(what): \(error.detail) (\(response.body.count) bytes with the SHA-256 \(digest))",
                serverTime: response.header("date").flatMap(HTTPDate.parse))
        }
    }
}

/// Sends, with HTTP's errors in the plane's terms.
func sendRequest(_ request: HTTPRequest, _ client: HTTPClient) async throws(PlaneError) -> HTTPResponse {
    do {
        return try await client.send(request)
    } catch {
        throw PlaneError(error)
    }
}
