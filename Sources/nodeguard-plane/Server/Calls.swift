import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import PlaneAPI
import SwiftASN1
import X509

/// What every call has in common: a deadline, a bounded body, who calls, and that a refusal is answered in JSON and
/// written into the plane's own log.
struct Calls: Sendable {
    let state: PlaneState
    private let logger: Logger
    let refusals: RefusalRecords
    private let seen = RateLimit(burst: 1, rate: 1.0 / 30)

    /// From the request's head to its answer.
    static let deadline = TimeAmount.seconds(60)

    init(state: PlaneState, logger: Logger) {
        self.state = state
        self.logger = logger
        refusals = RefusalRecords(state: state)
    }

    /// Whether the client certificate is looked at. What is public (whom to trust, who is revoked) must also reach a
    /// node whose own identity is expired or revoked.
    enum Callers: Sendable { case anybody, identified }

    func answer(
        _ action: String, _ context: PlaneRequestContext, _ callers: Callers = .identified,
        _ body: (NodeIdentity?) async throws -> Response
    ) async throws -> Response {
        let watch = context.channel.eventLoop.scheduleTask(in: Self.deadline) { [channel = context.channel] in
            channel.close(promise: nil)
        }
        defer { watch.cancel() }
        var identity: NodeIdentity?
        do {
            if callers == .identified { identity = try await identify(context) }
            return try await body(identity).telling(identity?.trustRevision)
        } catch let refusal as Refusal {
            return try await refuse(refusal, action, identity, callers, context)
        } catch StoreProblem.unstorableText {
            let refusal = Refusal.malformedRequest("a text with a NUL character names nothing here")
            return try await refuse(refusal, action, identity, callers, context)
        } catch let problem as TokenProblem {
            logger.info("\(action) failed", metadata: ["error": "\(problem)"])
            return try await refuse(problem.refusal, action, identity, callers, context)
        } catch {
            logger.error("\(action) failed", metadata: ["error": "\(error)"])
            return try Refusal.unavailable.response
        }
    }

    /// For callers that must be a node.
    func answerNode(
        _ action: String, _ context: PlaneRequestContext,
        _ body: (NodeIdentity) async throws -> Response
    ) async throws -> Response {
        try await answer(action, context) { identity in
            guard let identity else {
                throw Refusal.unauthorized(
                    "identity-required", "this call needs the node identity as client certificate")
            }
            return try await body(identity)
        }
    }

    func collect(_ request: Request, upTo limit: Int) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap(Int.init), length > limit {
            throw Refusal.tooLarge(limit)
        }
        do {
            return Array(try await request.body.collect(upTo: limit).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Refusal.tooLarge(limit)
        }
    }

    func decode<Body: Decodable>(_ type: Body.Type, from request: Request) async throws -> Body {
        let bytes = try await collect(request, upTo: 64 << 10)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw Refusal.malformedRequest("the body is not the JSON of a \(type)")
        }
    }

    func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(bytes: try JSONEncoder.plane.encode(value))))
    }

    /// The node of this plane, in good standing, that calls; nil: somebody without a certificate.
    func identify(_ context: PlaneRequestContext) async throws -> NodeIdentity? {
        guard let der = try await NodeIdentity.read(from: context.channel) else { return nil }
        let now = UnixTime.now
        let identity = try await find(der, now: now)
        if seen.admit(identity.serial) {
            try await state.database.write { database in
                try database.execute(
                    sql: "UPDATE nodes SET last_seen_at = ? WHERE cluster = ? AND name = ?",
                    arguments: [now, identity.cluster, identity.node])
            }
        }
        return identity
    }

    private func find(_ der: [UInt8], now: Int64) async throws -> NodeIdentity {
        do {
            return try await state.database.read { try NodeIdentity.find(der: der, now: now, $0) }
        } catch let refusal as Refusal where refusal.reason == NodeIdentity.unknown.reason {
            let certificate = try Certificate(derEncoded: der)
            let isOurs = try await state.database.read { try Restoration.current($0)?.covers(certificate, $0) != nil }
            guard isOurs else { throw refusal }
            return try await state.database.write { [log = state.log] database in
                guard try Restoration.adopt(der: der, log, now: now, database) else { throw refusal }
                return try NodeIdentity.find(der: der, now: now, database)
            }
        }
    }

    private func refuse(
        _ refusal: Refusal, _ action: String, _ identity: NodeIdentity?, _ callers: Callers,
        _ context: PlaneRequestContext
    ) async throws -> Response {
        if refusal.status == .contentTooLarge {
            // What is left of the body would be read and thrown away without end.
            context.channel.eventLoop.scheduleTask(in: .seconds(2)) { [channel = context.channel] in
                channel.close(promise: nil)
            }
        }
        let peer = context.channel.remoteAddress?.ipAddress ?? "?"
        do {
            var event = PlaneEvent(
                name: action, actor: identity?.actor ?? .stranger, outcome: .refused, cluster: identity?.cluster,
                node: identity?.node, reason: refusal.reason, detail: "from \(peer): \(refusal.detail)")
            if identity == nil, callers == .identified { event = try await naming(context, in: event) }
            if try await refusals.record(event, now: UnixTime.now) {
                if refusal.reason == NodeIdentity.replaced { try await noteReturn(event) }
                logger.info(
                    "refused \(action)",
                    metadata: ["reason": "\(refusal.reason)", "detail": "\(refusal.detail)", "peer": "\(peer)"])
            }
        } catch {
            logger.error("a refusal of \(action) is not recorded", metadata: ["error": "\(error)"])
        }
        return try refusal.response
    }

    /// For `nodes`.
    private func noteReturn(_ event: PlaneEvent) async throws {
        guard let cluster = event.cluster, let node = event.node else { return }
        try await state.database.write { try Replacement.returned(node, of: cluster, now: UnixTime.now, $0) }
    }

    /// Whose certificate it was that is no identity any more: revoked, expired, or for another use.
    private func naming(_ context: PlaneRequestContext, in event: PlaneEvent) async throws -> PlaneEvent {
        guard let der = try await NodeIdentity.read(from: context.channel),
            let found = try await state.database.read({ try IssuedCertificates.find(der: der, $0) })
        else { return event }
        return PlaneEvent(
            name: event.name, actor: .node(serial: found.serial), outcome: event.outcome,
            cluster: found.holder.cluster, node: found.holder.name, reason: event.reason, detail: event.detail)
    }
}

/// A request and the connection that it came on.
struct PlaneRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}
