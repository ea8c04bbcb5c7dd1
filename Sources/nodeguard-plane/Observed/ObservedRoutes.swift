import FoundationEssentials
import Hummingbird
import PlaneAPI

/// `PUT /v1/nodes/self/observed`.
struct ObservedRoutes: Sendable {
    let calls: Calls
    /// An agent reports each change, but never twice in a second.
    private let reports = RateLimit(burst: 30, rate: 1)

    init(calls: Calls) { self.calls = calls }

    func add(to router: Router<PlaneRequestContext>) {
        router.put("/v1/nodes/self/observed") { request, context in
            try await calls.answerNode("node.observed", context) { identity in
                let bytes = try await calls.collect(request, upTo: ObservedState.sizeLimit)
                guard reports.admit("\(identity.cluster)/\(identity.node)") else {
                    throw Refusal.tooMany("\(identity.node) reports more than once a second", after: 10)
                }
                try await take(bytes, from: identity)
                return Response(status: .noContent)
            }
        }
    }

    private func take(_ bytes: [UInt8], from identity: NodeIdentity) async throws {
        let report: ObservedState
        do {
            report = try JSONDecoder().decode(ObservedState.self, from: Data(bytes))
        } catch {
            throw Refusal.malformedRequest("the body is not the JSON of a report")
        }
        if let flaw = report.flaw { throw Refusal.unprocessable("report-not-valid", flaw) }
        let state = calls.state
        try await state.database.write { database in
            let now = UnixTime.now
            try ObservedReports.take(report, bytes, from: identity, state.log, now: now, database)
            try RotationSteps(state: state, actor: identity.actor, now: now).reported(by: identity.place, database)
        }
    }
}
