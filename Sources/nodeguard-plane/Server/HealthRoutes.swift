import Hummingbird
import PlaneAPI
import Synchronization

/// `GET /v1/health`, for what shares the calls of a fleet out among planes: 200 where this one reaches its store, else
/// 503. A program that only listens is no plane.
///
/// Without its token a plane still takes audit logs in and hands out what is signed, so that alone is 200 as well, and
/// said; with `?keys`, for who would rather send everything to another plane, it is 503.
struct HealthRoutes: Sendable {
    let calls: Calls
    private let places = KeyPlaces()

    init(calls: Calls) { self.calls = calls }

    private struct Health: Encodable {
        let store: String
        /// files, token, or both
        let keys: String
        /// usable, or why it is not; nil: there is none.
        let token: String?
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.get("/v1/health") { request, context in
            try await calls.answer("health.read", context, .anybody) { _ in
                _ = try await calls.state.database.read { try Int.fetchOne($0, sql: "SELECT 1") }
                let keys = try await offLoop { [places, state = calls.state] in try places.summary(state) }
                let condition = calls.state.keys.token?.condition
                let isWanting = request.uri.queryParameters["keys"] != nil && condition?.fault != nil
                let health = Health(
                    store: "reachable", keys: keys, token: condition.map { $0.fault?.rawValue ?? "usable" })
                return try calls.json(health, status: isWanting ? .serviceUnavailable : .ok)
            }
        }
    }
}

/// Where the keys are, looked up no more than this often: anybody may ask, and all certificates are read for it.
private final class KeyPlaces: Sendable {
    private static let age = Duration.seconds(10)
    private let known = Mutex<(text: String, at: ContinuousClock.Instant)?>(nil)

    func summary(_ state: PlaneState) throws -> String {
        if let known = known.withLock({ $0 }), known.at.duration(to: .now) < Self.age { return known.text }
        let text = try KeyInventory(state).summary
        known.withLock { $0 = (text, .now) }
        return text
    }
}
