import FoundationEssentials
import HTTP
import IO
import OpenSSL
import PlaneAPI

/// What `/cacerts` gave, and the server's idea of the time (from its Date header: a hint, never trusted).
package struct Authorities: Sendable {
    package let certificates: [Certificate]
    package let serverTime: Int64?
}

/// EST (RFC 7030, RFC 8951) against any server.
package enum ESTClient {
    private static let mediaType = "application/pkcs7-mime"

    /// Fetches the authorities from a server that is not trusted yet. There is no way to give this a token: what
    /// comes is worth nothing until its root's pin is checked (RFC 7030 §4.1.1).
    package static func provisionalAuthorities(url: String, label: String, lane: Lane) async throws(PlaneError)
        -> Authorities
    {
        let client = HTTPClient(lane: lane, trust: .provisional, identity: nil)
        let result: Result<Authorities, PlaneError>
        do throws(PlaneError) {
            result = .success(try await authorities(client, url: url, label: label))
        } catch {
            result = .failure(error)
        }
        await client.close()
        return try result.get()
    }

    static func authorities(_ client: HTTPClient, url: String, label: String) async throws(PlaneError) -> Authorities {
        let request = HTTPRequest(
            "GET", url + EST.path(label: label, operation: .authorities), headers: [("Accept", mediaType)])
        let response = try await sendRequest(request, client)
        let body = try bag(response, doing: "fetch the authorities")
        return Authorities(
            certificates: try CertificateBag.certificates(inBase64: body),
            serverTime: response.header("date").flatMap(HTTPDate.parse))
    }

    /// The certificates of the answer; which of them is ours only its key tells.
    static func enroll(
        _ client: HTTPClient, url: String, label: String, operation: EST.Operation, request der: [UInt8],
        token: SecretReference?
    ) async throws(PlaneError) -> [Certificate] {
        let request = HTTPRequest(
            "POST", url + EST.path(label: label, operation: operation),
            headers: [
                ("Accept", mediaType), ("Content-Type", "application/pkcs10"), ("Content-Transfer-Encoding", "base64"),
            ],
            body: wrapped(der), basicPassword: token)
        let response = try await sendRequest(request, client)
        return try CertificateBag.certificates(
            inBase64: try bag(response, doing: operation == .enroll ? "ask for a certificate" : "renew the certificate")
        )
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

    private static func bag(_ response: HTTPResponse, doing what: String) throws(PlaneError) -> [UInt8] {
        guard response.status == 200 else { throw Answer.error(of: response, doing: what) }
        let type = response.header("content-type")?.lowercased() ?? "none"
        guard type == mediaType || type.hasPrefix(mediaType + ";") || type.hasPrefix(mediaType + " ") else {
            throw PlaneError(.protocolError, "\(what): the answer's type is \(type.prefix(80)), not \(mediaType)")
        }
        return response.body
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
