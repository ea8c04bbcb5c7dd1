import Foundation
import OpenSSL
import PlaneAPI

/// What one node asks of the plane over a connection of its own.
struct PlaneCall: Sendable {
    let number: Int
    let context: TLSContext
    let request: Request

    enum Request: Sendable {
        /// One call; the answer is kept, and the connection closed in order.
        case once([UInt8])
        /// The revocation lists of a cluster, then the next ones, again and again: each question waits for news.
        case news(cluster: String)
    }

    /// `request`: PKCS#10 in DER.
    static func enrollment(cluster: String, token: String, request: [UInt8]) -> Request {
        let body = Data(request).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
        let credentials = Data(":\(token)".utf8).base64EncodedString()
        let head = """
            POST \(EST.path(label: cluster, operation: .enroll)) HTTP/1.1\r
            Host: 127.0.0.1\r
            Authorization: Basic \(credentials)\r
            Content-Type: application/pkcs10\r
            Content-Transfer-Encoding: base64\r
            Content-Length: \(body.utf8.count)\r
            \r\n
            """
        return .once(Array((head + body).utf8))
    }

    /// `tag`: of the lists that are known.
    static func question(_ cluster: String, after tag: String?) -> [UInt8] {
        let condition = tag.map { "If-None-Match: \($0)\r\n" } ?? ""
        return Array(
            """
            GET /v1/clusters/\(cluster)/crl HTTP/1.1\r
            Host: 127.0.0.1\r
            Prefer: wait=\(RevocationLists.longestWait)\r
            \(condition)\r\n
            """.utf8)
    }
}

/// An answer of HTTP/1.1 with the length of its body.
struct PlaneAnswer {
    let status: Int
    let tag: String?
    let body: [UInt8]

    private static let end: [UInt8] = [13, 10, 13, 10]

    /// nil: the bytes are not all of it.
    init?(_ bytes: [UInt8]) {
        guard let gap = bytes.indices.dropLast(3).first(where: { bytes[$0...].starts(with: Self.end) }) else {
            return nil
        }
        let lines = String(decoding: bytes[..<gap], as: UTF8.self).split(separator: "\r\n")
        status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var (tag, length): (String?, Int) = (nil, 0)
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            switch line[..<colon].lowercased() {
            case "etag": tag = value
            case "content-length": length = Int(value) ?? 0
            default: break
            }
        }
        self.tag = tag
        let rest = bytes[(gap + Self.end.count)...]
        if status == 304 { length = 0 }
        guard rest.count >= length else { return nil }
        body = Array(rest.prefix(length))
    }
}
