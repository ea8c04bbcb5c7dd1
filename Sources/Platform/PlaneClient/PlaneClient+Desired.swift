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
        isAwaited = response.header("preference-applied")?.lowercased().contains("wait") ?? false
        switch response.status {
        case 304:
            guard known != nil else {
                throw PlaneError(.protocolError, "\(what): the plane says that it is known, and none was named")
            }
            outcome = .unchanged
        case 204: outcome = .none
        case 200: outcome = .envelope(response.body)
        default: throw Answer.error(of: response, doing: what)
        }
        tag = Answer.tag(of: response)
    }
}

extension PlaneClient {
    /// Time that an answer takes beyond what it was told to wait.
    private static let slack = 30

    /// `tag`: of what is known; with it the answer may take `DesiredState.longestWait` and more.
    package func desiredState(after tag: String?) async throws(PlaneError) -> DesiredAnswer {
        var request = HTTPRequest(
            "GET", url + DesiredState.path,
            headers: [("Accept", DesiredState.envelopeType), ("Prefer", "wait=\(DesiredState.longestWait)")],
            timeout: .seconds(DesiredState.longestWait + Self.slack), responseLimit: DesiredState.sizeLimit)
        if let tag { request.headers.append(("If-None-Match", tag)) }
        return try DesiredAnswer(try await sendRequest(request, try joined()), after: tag)
    }
}
