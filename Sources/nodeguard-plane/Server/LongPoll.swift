import HTTPTypes
import Hummingbird

/// A question that waits for news: `Prefer: wait=N` (RFC 7240 §4.3) beside `If-None-Match`.
enum LongPoll {
    private static let preference = HTTPField.Name("Prefer")
    private static let preferenceApplied = HTTPField.Name("Preference-Applied")

    /// How long it may wait; nil: not at all.
    static func seconds(of request: Request, longest: Int) -> Int? {
        guard let name = preference, let text = request.headers[name] else { return nil }
        let wishes = text.split { $0 == "," || $0 == ";" || $0 == " " }
        let wait = wishes.first { $0.lowercased().hasPrefix("wait=") }.flatMap { Int($0.dropFirst("wait=".count)) }
        return wait.flatMap { $0 > 0 ? min($0, longest) : nil }
    }

    /// Whoever reads this asks again at once.
    static func say(_ seconds: Int, in headers: inout HTTPFields) {
        if let name = preferenceApplied { headers[name] = "wait=\(seconds)" }
    }

    /// A proxy on the way may have made the tag a weak one (RFC 9110 §13.1.2).
    static func isKnown(_ tag: String, _ known: String?) -> Bool {
        guard let known else { return false }
        return known.split(separator: ",").contains { one in
            let one = one.drop { $0 == " " }
            return (one.hasPrefix("W/") ? one.dropFirst(2) : one) == tag
        }
    }
}
