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
        let caller = try? await calls.identify(context)
        if let (node, seconds) = Self.wait(of: request, caller) {
            var isApplied = true
            if LongPoll.isKnown(lists.tag, known) {
                let mark = try await lists.tag + revision(of: cluster)
                isApplied = await news.wait(for: cluster, after: mark, seconds: seconds, as: node.serial)
                lists = try await current(cluster)
            }
            if isApplied { LongPoll.say(seconds, in: &headers) }
        }
        headers[.eTag] = lists.tag
        if let caller, let name = TrustRevision.header {
            headers[name] = try await revision(of: caller.cluster)
        }
        if LongPoll.isKnown(lists.tag, known) { return Response(status: .notModified, headers: headers) }
        headers[.contentType] = RevocationLists.contentType
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: lists.bytes)))
    }

    private func revision(of cluster: String) async throws -> String {
        try await calls.state.database.read { try TrustRevision.current(of: cluster, $0) }
    }

    private func current(_ cluster: String) async throws -> PublishedLists {
        let state = calls.state
        let lists = try await offLoop { try PublishedLists.current(of: cluster, state, now: UnixTime.now) }
        guard let lists else { throw Refusal.unknownLabel(cluster) }
        return lists
    }

    /// `Prefer: wait=N`; nil: none, or from somebody who has no certificate of ours and may not keep a place here.
    private static func wait(
        of request: Request, _ caller: NodeIdentity?
    ) -> (node: NodeIdentity, seconds: Int)? {
        guard let seconds = LongPoll.seconds(of: request, longest: RevocationLists.longestWait), let node = caller
        else { return nil }
        return (node, seconds)
    }
}
