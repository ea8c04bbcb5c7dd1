import OpenSSL
import Reports

/// A request as it is signed: nothing in it is encoded yet, and what is signed is what is sent.
struct SignableRequest {
    var method: String
    /// From the slash on.
    var path: String
    var query: [(name: String, value: String)] = []
    /// All of them are signed; `host` is one.
    var headers: [(name: String, value: String)]
    /// Hexadecimal SHA-256, or `SignatureV4.unsignedPayload`.
    var payloadHash: String
}

/// AWS Signature Version 4 in the Authorization header ("Signature Calculations for the Authorization Header:
/// Transferring Payload in a Single Chunk", Amazon S3 API Reference). libcurl's own signs multipart calls wrongly
/// before 8.5.0 (curl/curl#8107).
enum SignatureV4 {
    static let unsignedPayload = "UNSIGNED-PAYLOAD"
    static let emptyPayloadHash = hexadecimal(Digest.sha256([UInt8]()))

    private static let algorithm = "AWS4-HMAC-SHA256"

    /// What must be sent besides the request's own headers; the last is `Authorization`.
    static func headers(
        signing request: SignableRequest, with credentials: S3Credentials, region: String, at time: Timestamp
    ) -> [(name: String, value: String)] {
        let moment = basicTime(time)
        var added = [("x-amz-content-sha256", request.payloadHash), ("x-amz-date", moment)]
        if let token = credentials.token { added.append(("x-amz-security-token", token.text)) }
        let (canonical, signed) = canonicalRequest(request, headers: request.headers + added)
        let day = String(moment.prefix(8))
        let scope = "\(day)/\(region)/s3/aws4_request"
        let text = [algorithm, moment, scope, hexadecimal(Digest.sha256(Array(canonical.utf8)))]
            .joined(separator: "\n")
        let key = signingKey(credentials.secret, day: day, region: region, service: "s3")
        let signature = key.withSecret { hexadecimal(MessageAuthentication.hmacSHA256(key: $0, Array(text.utf8))) }
        let credential = "Credential=\(credentials.accessKey)/\(scope)"
        return added + [("Authorization", "\(algorithm) \(credential),SignedHeaders=\(signed),Signature=\(signature)")]
    }

    /// HMAC of day, region, service and a fixed word, each under the one before, beginning with the prefixed secret.
    static func signingKey(
        _ secret: SecretReference, day: String, region: String, service: String
    ) -> SecretReference {
        var key = secret
        for word in [day, region, service, "aws4_request"] {
            var next = key.withSecret { MessageAuthentication.hmacSHA256(key: $0, Array(word.utf8)) }
            key = SecretReference(taking: &next)
        }
        return key
    }

    static func canonicalRequest(
        _ request: SignableRequest, headers: [(name: String, value: String)]
    ) -> (text: String, signedHeaders: String) {
        let headers = headers.map { (name: $0.name.lowercased(), value: trimmed($0.value)) }.sorted {
            $0.name < $1.name
        }
        let signed = headers.map(\.name).joined(separator: ";")
        let lines =
            [request.method, encoded(request.path, keepsSlash: true), canonicalQuery(request.query)]
            + headers.map { "\($0.name):\($0.value)" } + ["", signed, request.payloadHash]
        return (lines.joined(separator: "\n"), signed)
    }

    /// Sorted by encoded name, then by encoded value; each name has its `=`. Sent in the same form.
    static func canonicalQuery(_ query: [(name: String, value: String)]) -> String {
        query.map { (encoded($0.name, keepsSlash: false), encoded($0.value, keepsSlash: false)) }
            .sorted { $0 < $1 }
            .map { "\($0)=\($1)" }.joined(separator: "&")
    }

    /// Every byte but RFC 3986's unreserved ones as `%XX`, in upper case; once, as S3 wants it.
    static func encoded(_ text: String, keepsSlash: Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F, 0x7E].contains(byte) || (keepsSlash && byte == 0x2F)
            bytes += isPlain ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `20130524T000000Z`
    static func basicTime(_ time: Timestamp) -> String { time.description.filter { $0 != "-" && $0 != ":" } }

    /// Without spaces around, and with one where there were several.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }
}
