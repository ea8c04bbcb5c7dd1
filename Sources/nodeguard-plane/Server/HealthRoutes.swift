import Hummingbird

/// `GET /v1/health`, for what shares the calls of a fleet out among planes: 200 where this one can answer them, else
/// 503. A program that only listens is no plane.
struct HealthRoutes: Sendable {
    let calls: Calls

    private struct Health: Encodable {
        let store: String
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.get("/v1/health") { _, context in
            try await calls.answer("health.read", context, .anybody) { _ in
                _ = try await calls.state.database.read { try Int.fetchOne($0, sql: "SELECT 1") }
                return try calls.json(Health(store: "reachable"))
            }
        }
    }
}
