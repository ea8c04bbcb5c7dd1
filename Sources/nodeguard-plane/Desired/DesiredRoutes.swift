import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import PlaneAPI

/// `GET /v1/nodes/self/desired`.
struct DesiredRoutes: Sendable {
    let calls: Calls
    let news: RevocationNews

    func add(to router: Router<PlaneRequestContext>) {
        router.get("/v1/nodes/self/desired") { request, context in
            try await calls.answerNode("desired.read", context) { try await answer(request, to: $0) }
        }
    }

    private func answer(_ request: Request, to identity: NodeIdentity) async throws -> Response {
        let (node, cluster) = (identity.node, identity.cluster)
        var signed = try await current(node, cluster)
        var headers: HTTPFields = [.cacheControl: "no-cache"]
        let known = request.headers[.ifNoneMatch]
        if let seconds = LongPoll.seconds(of: request, longest: DesiredState.longestWait) {
            var isApplied = true
            if LongPoll.isKnown(Self.tag(signed), known) {
                isApplied = await news.wait(
                    for: DesiredTags.name(node, cluster), after: Self.tag(signed), seconds: seconds,
                    as: identity.serial)
                signed = try await current(node, cluster)
            }
            if isApplied { LongPoll.say(seconds, in: &headers) }
        }
        headers[.eTag] = Self.tag(signed)
        if let name = TrustRevision.header {
            headers[name] = try await calls.state.database.read { try TrustRevision.current(of: cluster, $0) }
        }
        if LongPoll.isKnown(Self.tag(signed), known) { return Response(status: .notModified, headers: headers) }
        guard let signed else { return Response(status: .noContent, headers: headers) }
        headers[.contentType] = DesiredState.envelopeType
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: signed.envelope)))
    }

    private static func tag(_ signed: DesiredStates.Signed?) -> String {
        signed.map { DesiredTags.tag($0.hash) } ?? DesiredTags.none
    }

    private func current(_ node: String, _ cluster: String) async throws -> DesiredStates.Signed? {
        try await calls.state.database.read { try DesiredStates.signed(for: node, of: cluster, $0) }
    }
}
