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
        let refusal = try? JSONDecoder().decode(PlaneRefusal.self, from: Data(response.body))
        var detail = "\(what): the plane answered \(response.status)"
        if let refusal { detail += " (\(refusal.reason): \(printable(refusal.detail)))" }
        let retry = retryAfter(response.header("retry-after"))
        let kind = kind(of: response)
        return PlaneError(
            kind, detail, retryAfter: kind == .pending ? retry ?? .seconds(pendingDefault) : retry,
            reason: refusal?.reason)
    }

    private static func kind(of response: HTTPResponse) -> PlaneError.Kind {
        switch response.status {
        case 202: return .pending
        case 401: return .unauthorized
        case 403: return .denied
        case 400, 415, 422: return .request
        case 409:
            let conflict = try? JSONDecoder().decode(AuditConflict.self, from: Data(response.body))
            return conflict.map { .conflict(next: $0.next) } ?? .throttled
        case 413: return .tooLarge
        case 423, 429, 503: return .throttled
        case 500...599 where response.status != 501: return .unreachable
        case 300...499, 501: return .configuration
        default: return .protocolError
        }
    }

    /// Delta seconds or an HTTP date (RFC 9110 §10.2.3), within bounds.
    static func retryAfter(_ value: String?, now: Int64 = Int64(Date().timeIntervalSince1970)) -> Duration? {
        guard let value else { return nil }
        guard let seconds = Int(value) ?? HTTPDate.parse(value).map({ Int($0 - now) }) else { return nil }
        return .seconds(min(max(seconds, retryLimits.lowerBound), retryLimits.upperBound))
    }

    /// A server's words for a log: short, and without what could forge a line.
    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.prefix(512).filter { $0.value >= 0x20 && $0.value != 0x7F }))
    }
}

/// The preferred form of HTTP dates, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
package enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970; nil for anything else.
    package static func parse(_ text: String) -> Int64? {
        let parts = text.split { $0 == " " || $0 == ":" || $0 == "," }.map(String.init)
        guard parts.count == 8, parts[7] == "GMT", let day = Int64(parts[1]),
            let month = months.firstIndex(of: parts[2]),
            let year = Int64(parts[3]), let hour = Int64(parts[4]), let minute = Int64(parts[5]),
            let second = Int64(parts[6]), (1...31).contains(day), (1970...9999).contains(year), hour < 24, minute < 60,
            second < 61, hour >= 0, minute >= 0, second >= 0
        else { return nil }
        // Days from the civil date, in years that begin on a 1st of March.
        let shiftedYear = month < 2 ? year - 1 : year
        let shiftedMonth = Int64((month + 10) % 12)
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (era * 146_097 + dayOfEra - 719_468) * 86_400 + hour * 3600 + minute * 60 + second
    }
}
