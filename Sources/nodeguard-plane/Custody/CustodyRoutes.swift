import Hummingbird
import PlaneAPI

/// `POST /v1/keys`, `/v1/keys/ID/unwrap`, `/v1/keys/ID/deletion`.
struct CustodyRoutes: Sendable {
    private let calls: Calls
    private let custody: KeyCustody
    /// A restore opens a key for each backup of a chain at once; a thief would have to open all of them. These count
    /// who asks; what is granted, all planes count together (`KeyCustody.grants`).
    private let unwraps = RateLimit(burst: 200, rate: 2)
    private let creations = RateLimit(burst: 200, rate: 2)

    init(calls: Calls) {
        self.calls = calls
        custody = KeyCustody(state: calls.state)
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.post("/v1/keys") { request, context in
            try await calls.answerNode("key.create", context) { identity in
                let wish = try await calls.decode(KeyCreation.self, from: request)
                try admit(identity, creations)
                return try calls.json(
                    await offLoop { try custody.create(for: identity, backup: wish.backup, now: UnixTime.now) })
            }
        }
        router.post("/v1/keys/:id/unwrap") { request, context in
            try await calls.answerNode("key.unwrap", context) { identity in
                let wish = try await calls.decode(KeyUnwrapping.self, from: request)
                let id = context.parameters.get("id") ?? ""
                try admit(identity, unwraps)
                return try calls.json(
                    await offLoop { try custody.unwrap(id, for: identity, wish, now: UnixTime.now) })
            }
        }
        router.post("/v1/keys/:id/deletion") { _, context in
            try await calls.answerNode("key.deletion", context) { identity in
                let id = context.parameters.get("id") ?? ""
                return try calls.json(
                    await offLoop { try custody.requestDeletion(of: id, by: identity, now: UnixTime.now) })
            }
        }
    }

    private func admit(_ identity: NodeIdentity, _ limit: RateLimit) throws(Refusal) {
        guard limit.admit("\(identity.cluster)/\(identity.node)") else {
            throw KeyCustody.tooMany(identity)
        }
    }
}
