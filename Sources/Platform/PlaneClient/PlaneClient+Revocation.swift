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
        let news = try NewsAnswer(response, after: known, doing: what)
        (tag, isAwaited) = (news.tag, news.isAwaited)
        switch response.status {
        case _ where news.isUnchanged: lists = nil
        case 200:
            guard !response.body.isEmpty else {
                throw PlaneError(.protocolError, "\(what): the plane's answer is empty")
            }
            lists = response.body
        default: throw Answer.error(of: response, doing: what)
        }
    }
}

extension PlaneClient {
    /// `tag`: of those that are known; with it the answer may take `RevocationLists.longestWait` and more. `limit`: of
    /// bytes. Needs no identity of this node: a list is public.
    package func revocationLists(
        cluster: String, after tag: String?, limit: Int
    ) async throws(PlaneError) -> RevocationAnswer {
        let request = news(
            path: RevocationLists.path(cluster: cluster), type: RevocationLists.contentType, after: tag,
            wait: RevocationLists.longestWait, limit: limit)
        return try RevocationAnswer(try await sendRequest(request, try current()), after: tag)
    }
}
