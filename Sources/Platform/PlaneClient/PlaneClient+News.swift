import HTTP
import PlaneAPI

/// What the plane has said to a question that waits there until something is new.
struct NewsAnswer {
    /// Nothing is: RFC 9110 §15.4.5.
    let isUnchanged: Bool
    /// What to name the next time.
    let tag: String?
    /// Whether the plane holds its answers back until there is something new (RFC 7240 §3).
    let isAwaited: Bool

    /// `known`: the tag that was named in the question.
    init(_ response: HTTPResponse, after known: String?, doing what: String) throws(PlaneError) {
        isUnchanged = response.status == 304
        guard !isUnchanged || known != nil else {
            throw PlaneError(.protocolError, "\(what): the plane says that nothing is new, and no tag was named")
        }
        isAwaited = response.header("preference-applied")?.lowercased().contains("wait") ?? false
        tag = Answer.tag(of: response)
    }
}

extension PlaneClient {
    /// In seconds, that an answer takes beyond what it was told to wait.
    private static let slack = 30

    /// `tag`: of what is known; with it the answer may take `wait` seconds and more. `limit`: of bytes.
    nonisolated func news(path: String, type: String, after tag: String?, wait: Int, limit: Int) -> HTTPRequest {
        var request = HTTPRequest(
            "GET", url + path, headers: [("Accept", type), ("Prefer", "wait=\(wait)")],
            timeout: .seconds(wait + Self.slack), responseLimit: limit)
        if let tag { request.headers.append(("If-None-Match", tag)) }
        return request
    }
}
