import Hummingbird
import PlaneAPI

/// `PUT /v1/recovery` and `POST /v1/recovery/challenge`.
struct RecoveryRoutes: Sendable {
    private let calls: Calls
    private let recovery: NodeRecovery
    /// Of strangers, and each is a write.
    private let questions = RateLimit(burst: 20, rate: 5)

    init(calls: Calls) {
        self.calls = calls
        recovery = NodeRecovery(state: calls.state)
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.put("\(Recovery.path)") { request, context in
            try await calls.answerNode("recovery.key", context) { identity in
                let key = try await calls.decode(RecoveryKey.self, from: request)
                try await offLoop {
                    try recovery.register(key.publicKey, of: identity, now: UnixTime.now)
                }
                return Response(status: .noContent)
            }
        }
        router.post("\(Recovery.challengePath)") { request, context in
            try await calls.answer("recovery.challenge", context, .anybody) { _ in
                let question = try await calls.decode(RecoveryQuestion.self, from: request)
                guard questions.admit("\(context.channel.remoteAddress?.ipAddress ?? "?")") else {
                    throw Refusal.tooMany("too many challenges are asked for from there", after: 10)
                }
                return try calls.json(try await offLoop { try recovery.challenge(for: question, now: UnixTime.now) })
            }
        }
    }
}
