import HTTP
import PlaneAPI

/// What the plane has said of this node's desired state.
package struct DesiredAnswer: Sendable {
    package enum Outcome: Sendable, Equatable {
        case unchanged
        /// The plane has none for this node.
        case none
        /// As it came.
        case envelope([UInt8])
    }

    package let outcome: Outcome
    /// What to name the next time.
    package let tag: String?
    /// Whether the plane holds its answers back until there is something new.
    package let isAwaited: Bool

    /// `known`: the tag that was named in the question.
    init(_ response: HTTPResponse, after known: String?) throws(PlaneError) {
        let what = "fetch the desired state"
        let news = try NewsAnswer(response, after: known, doing: what)
        (tag, isAwaited) = (news.tag, news.isAwaited)
        switch response.status {
        case _ where news.isUnchanged: outcome = .unchanged
        case 204: outcome = .none
        case 200: outcome = .envelope(response.body)
        default: throw Answer.error(of: response, doing: what)
        }
    }
}

extension PlaneClient {
    /// `tag`: of what is known; with it the answer may take `DesiredState.longestWait` and more.
    package func desiredState(after tag: String?) async throws(PlaneError) -> DesiredAnswer {
        let request = news(
            path: DesiredState.path, type: DesiredState.envelopeType, after: tag, wait: DesiredState.longestWait,
            limit: DesiredState.sizeLimit)
        return try DesiredAnswer(try await sendRequest(request, try joined()), after: tag)
    }
}
