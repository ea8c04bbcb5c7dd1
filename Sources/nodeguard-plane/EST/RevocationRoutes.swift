import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import PlaneAPI

/// The revocation lists, for anybody; who shows a node identity may wait for the next.
struct RevocationRoutes: Sendable {
    let calls: Calls
    let news: RevocationNews

    private static let preference = HTTPField.Name("Prefer")
    private static let preferenceApplied = HTTPField.Name("Preference-Applied")

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
            if Self.isKnown(lists.tag, known) {
                isApplied = await news.wait(for: cluster, after: lists.tag, seconds: seconds, as: node)
                lists = try await current(cluster)
            }
            // Whoever reads this asks again at once.
            if isApplied, let name = Self.preferenceApplied { headers[name] = "wait=\(seconds)" }
        }
        headers[.eTag] = lists.tag
        if Self.isKnown(lists.tag, known) { return Response(status: .notModified, headers: headers) }
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
        guard let name = Self.preference, let text = request.headers[name],
            let node = try? await calls.identify(context)?.serial
        else { return nil }
        let wishes = text.split { $0 == "," || $0 == ";" || $0 == " " }
        let wait = wishes.first { $0.lowercased().hasPrefix("wait=") }.flatMap { Int($0.dropFirst("wait=".count)) }
        return wait.flatMap { $0 > 0 ? (node, min($0, RevocationLists.longestWait)) : nil }
    }

    /// A proxy on the way may have made the tag a weak one (RFC 9110 §13.1.2).
    private static func isKnown(_ tag: String, _ known: String?) -> Bool {
        guard let known else { return false }
        return known.split(separator: ",").contains { one in
            let one = one.drop { $0 == " " }
            return (one.hasPrefix("W/") ? one.dropFirst(2) : one) == tag
        }
    }
}
