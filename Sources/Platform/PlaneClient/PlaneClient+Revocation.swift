import HTTP
import PlaneAPI

/// What the plane has said of a cluster's CRLs.
package struct RevocationAnswer: Sendable {
    /// As they came; nil: nothing is new.
    package let lists: [UInt8]?
    /// What to name the next time.
    package let tag: String?
    /// Whether the plane holds its answers back until there is something new.
    package let isAwaited: Bool

    /// `known`: the tag that was named in the question.
    init(_ response: HTTPResponse, after known: String?) throws(PlaneError) {
        let what = "fetch the cluster's CRLs"
        isAwaited = response.header("preference-applied")?.lowercased().contains("wait") ?? false
        switch response.status {
        case 304:
            guard known != nil else {
                throw PlaneError(.protocolError, "\(what): the plane says that they are known, and none was named")
            }
            lists = nil
        case 200:
            guard !response.body.isEmpty else {
                throw PlaneError(.protocolError, "\(what): the plane's answer is empty")
            }
            lists = response.body
        default: throw Answer.error(of: response, doing: what)
        }
        tag = Answer.tag(of: response)
    }
}

extension PlaneClient {
    /// The time that an answer takes beyond what it was told to wait.
    private static let slack = 30

    /// `tag`: of those that are known; with it the answer may take `RevocationLists.longestWait` and more. `limit`: of
    /// bytes. Needs no identity of this node: a list is public.
    package func revocationLists(
        cluster: String, after tag: String?, limit: Int
    ) async throws(PlaneError) -> RevocationAnswer {
        var request = HTTPRequest(
            "GET", url + RevocationLists.path(cluster: cluster),
            headers: [("Accept", RevocationLists.contentType), ("Prefer", "wait=\(RevocationLists.longestWait)")],
            timeout: .seconds(RevocationLists.longestWait + Self.slack), responseLimit: limit)
        if let tag { request.headers.append(("If-None-Match", tag)) }
        return try RevocationAnswer(try await sendRequest(request, try current()), after: tag)
    }
}
