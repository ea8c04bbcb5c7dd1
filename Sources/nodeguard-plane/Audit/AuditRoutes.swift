import Hummingbird
import PlaneAPI

/// `PUT /v1/nodes/self/audit/EPOCH/key` and `/v1/nodes/self/audit/EPOCH/FIRST-LAST`; the node is the one of the
/// certificate.
struct AuditRoutes: Sendable {
    private let calls: Calls
    private let receiver: AuditReceiver

    init(calls: Calls) {
        self.calls = calls
        receiver = AuditReceiver(state: calls.state)
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.put("/v1/nodes/self/audit/:epoch/key") { request, context in
            try await calls.answerNode("audit.key", context) { identity in
                let key = try await calls.decode(AuditKey.self, from: request)
                let place = try place(of: identity, context)
                try await offLoop {
                    try receiver.register(key.publicKey, for: place, by: identity.actor, now: UnixTime.now)
                }
                return Response(status: .noContent)
            }
        }
        router.put("/v1/nodes/self/audit/:epoch/:range") { request, context in
            try await calls.answerNode("audit.batch", context) { identity in
                let place = try place(of: identity, context)
                let (first, last) = try range(context)
                let body = try await calls.collect(request, upTo: AuditBatches.sizeLimit)
                let outcome = try await offLoop {
                    try receiver.receive(
                        AuditBatch(body, place: place, first: first, last: last), now: UnixTime.now)
                }
                return switch outcome {
                case .acknowledged(let acknowledgement): try calls.json(acknowledgement)
                case .conflict(let conflict): try calls.json(conflict, status: .conflict)
                }
            }
        }
        router.get("\(AuditBatches.witnessPath)") { _, context in
            try await calls.answer("audit.witness", context, .anybody) { _ in
                Response(
                    status: .ok, headers: [.contentType: "text/plain"],
                    body: .init(byteBuffer: ByteBuffer(string: calls.state.witness.verifierKey + "\n")))
            }
        }
    }

    private func place(of identity: NodeIdentity, _ context: PlaneRequestContext) throws -> AuditPlace {
        guard let text = context.parameters.get("epoch"), let epoch = UInt64(text), epoch <= UInt64(Int64.max) else {
            throw Refusal.unprocessable("epoch", "the path's epoch is no number")
        }
        return AuditPlace(cluster: identity.cluster, node: identity.node, epoch: epoch)
    }

    private func range(_ context: PlaneRequestContext) throws -> (UInt64, UInt64) {
        let parts = (context.parameters.get("range") ?? "").split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]), last <= UInt64(Int64.max)
        else { throw Refusal.unprocessable("range", "the path's range is not FIRST-LAST") }
        return (first, last)
    }
}
