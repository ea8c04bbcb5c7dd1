import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import PlaneAPI

/// The revocation lists, for anybody; who shows a node identity may wait for the next.
struct RevocationRoutes: Sendable {
    let calls: Calls
    let news: RevocationNews

    func add(to router: Router<PlaneRequestContext>) {
        router.get("/v1/clusters/:cluster/crl") { request, context in
            try await calls.answer("crl.read", context, .anybody) { _ in try await answer(request, context) }
        }
    }

    private func answer(_ request: Request, _ context: PlaneRequestContext) async throws -> Response {
        let cluster = context.parameters.get("cluster") ?? ""
        var lists = try await current(cluster)
        var headers: HTTPFields = [.cacheControl: "no-cache"]
        let known = request.headers[.ifNoneMatch]
        if let (node, seconds) = await wait(of: request, context) {
            var isApplied = true
            if LongPoll.isKnown(lists.tag, known) {
                isApplied = await news.wait(for: cluster, after: lists.tag, seconds: seconds, as: node)
                lists = try await current(cluster)
            }
            if isApplied { LongPoll.say(seconds, in: &headers) }
        }
        headers[.eTag] = lists.tag
        if LongPoll.isKnown(lists.tag, known) { return Response(status: .notModified, headers: headers) }
        headers[.contentType] = RevocationLists.contentType
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: lists.bytes)))
    }

    private func current(_ cluster: String) async throws -> PublishedLists {
        let state = calls.state
        let lists = try await offLoop { try PublishedLists.current(of: cluster, state, now: UnixTime.now) }
        guard let lists else { throw Refusal.unknownLabel(cluster) }
        return lists
    }

    /// `Prefer: wait=N`; nil: none, or from somebody who has no certificate of ours and may not keep a place here.
    private func wait(
        of request: Request, _ context: PlaneRequestContext
    ) async -> (node: String, seconds: Int)? {
        guard let seconds = LongPoll.seconds(of: request, longest: RevocationLists.longestWait),
            let node = try? await calls.identify(context)?.serial
        else { return nil }
        return (node, seconds)
    }
}
