import Logging
import NIOCore
import NIOPosix

extension PlaneServer {
    /// Opens the token again after a fault, and says in log and audit log that it went and came back. nil: there is
    /// none.
    func beginTokenCare() -> RepeatedTask? {
        guard let token = state.keys.token else { return nil }
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        return loop.scheduleRepeatedAsyncTask(initialDelay: Self.refreshInterval, delay: Self.refreshInterval) {
            [state, logger] _ in
            NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
                guard let (condition, failedCalls) = token.tend() else { return }
                let event = Self.event(of: condition, failedCalls)
                logger.warning("\(event.name)", metadata: ["detail": "\(event.detail)"])
                do {
                    try state.database.write { try state.log.record(event, now: UnixTime.now, $0) }
                } catch {
                    logger.error("\(event.name) is not recorded", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private static func event(of condition: KeyToken.Condition, _ failedCalls: Int64) -> PlaneEvent {
        guard let fault = condition.fault else {
            return PlaneEvent(
                name: "hsm.back", actor: .plane,
                detail: "the token that holds the keys can be used again; \(failedCalls) calls to it failed meanwhile")
        }
        return PlaneEvent(
            name: "hsm.away", actor: .plane, outcome: .refused, reason: fault.rawValue,
            detail: "the token that holds the keys cannot be used: \(condition.detail)")
    }
}
