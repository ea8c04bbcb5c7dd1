import FoundationEssentials
import HTTP
import PlaneAPI

/// Reads what an HTTP answer means.
enum Answer {
    /// libest's bounds: a server may ask for no less than a second and no more than two days.
    private static let retryLimits = 1...172_800
    /// RFC 7030 §4.2.3 demands Retry-After with 202; where it is missing.
    private static let pendingDefault = 300

    /// The body of a 200; everything else as the error that it stands for.
    static func body(of response: HTTPResponse, doing what: String) throws(PlaneError) -> [UInt8] {
        if (200...299).contains(response.status), response.status != 202 { return response.body }
        throw error(of: response, doing: what)
    }

    static func error(of response: HTTPResponse, doing what: String) -> PlaneError {
        error(
            status: response.status, type: response.header("content-type"), body: response.body,
            retryAfter: response.header("retry-after"), date: response.header("date"), doing: what)
    }

    static func error(
        status: Int, type: String? = nil, body: [UInt8], retryAfter value: String?, date: String? = nil,
        doing what: String
    ) -> PlaneError {
        let refusal = try? JSONDecoder().decode(PlaneRefusal.self, from: Data(body))
        var detail = "\(what): the plane answered \(status)"
        if let refusal {
            detail += " (\(printable(refusal.reason)): \(printable(refusal.detail)))"
        } else if let words = words(of: body, type: type) {
            detail += " (\(words))"
        }
        let retry = retryAfter(value)
        let kind = kind(status, body)
        return PlaneError(
            kind, detail, retryAfter: kind == .pending ? retry ?? .seconds(pendingDefault) : retry,
            reason: refusal.map { printable($0.reason) }, serverTime: date.flatMap(HTTPDate.parse))
    }

    private struct ProblemDetails: Decodable {
        let title: String?
        let detail: String?
    }

    /// What an EST server says of its refusal: text (RFC 7030 §4.2.3, erratum 5108), or a problem (RFC 9457).
    private static func words(of body: [UInt8], type: String?) -> String? {
        let media = (type ?? "").lowercased().prefix { $0 != ";" && $0 != " " }
        switch media {
        case "text/plain":
            let text = printable(String(decoding: body.prefix(4096), as: UTF8.self))
            return text.isEmpty ? nil : text
        case "application/problem+json":
            let problem = try? JSONDecoder().decode(ProblemDetails.self, from: Data(body))
            let parts = [problem?.title, problem?.detail].compactMap { $0 }.map(printable)
            return parts.isEmpty ? nil : parts.joined(separator: ": ")
        default: return nil
        }
    }

    private static func kind(_ status: Int, _ body: [UInt8]) -> PlaneError.Kind {
        switch status {
        case 202: return .pending
        case 401: return .unauthorized
        case 403: return .denied
        case 400, 415, 422: return .request
        case 409:
            let conflict = try? JSONDecoder().decode(AuditConflict.self, from: Data(body))
            return conflict.map { .conflict(next: $0.next) } ?? .busy
        case 413: return .tooLarge
        case 423: return .busy
        case 429, 503: return .throttled
        case 301, 302, 307, 308: return .redirect
        case 500...599 where status != 501: return .failing
        case 300...499, 501: return .configuration
        default: return .protocolError
        }
    }

    /// Delta seconds or an HTTP date (RFC 9110 §10.2.3), within bounds.
    static func retryAfter(_ value: String?, now: Int64 = Int64(Date().timeIntervalSince1970)) -> Duration? {
        guard let value else { return nil }
        let words = value.split { $0 == " " || $0 == "\t" }
        let seconds = words.count == 1 ? Int(words[0]) : HTTPDate.parse(value).map { Int($0 - now) }
        guard let seconds else { return nil }
        return .seconds(min(max(seconds, retryLimits.lowerBound), retryLimits.upperBound))
    }

    private static let tagLimit = 256

    /// The entity tag of an answer (RFC 9110 §8.8.3), which a proxy may have weakened.
    static func tag(of response: HTTPResponse) -> String? {
        guard let tag = response.header("etag") else { return nil }
        let isOne = tag.hasSuffix("\"") && (tag.hasPrefix("\"") || tag.hasPrefix("W/\"")) && tag.utf8.count > 2
        let isPlain = tag.utf8.count <= tagLimit && tag.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        return isOne && isPlain ? tag : nil
    }

    /// A server's words for a log: short, and without what could forge a line.
    static func printable(_ text: String) -> String {
        let kept = text.unicodeScalars.prefix(512).filter { $0.properties.generalCategory != .control }
        return String(String.UnicodeScalarView(kept))
    }
}
