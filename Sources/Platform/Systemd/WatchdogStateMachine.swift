/// Whether this process has earned its next ping to the service manager: only if every lane and queue has answered its
/// heartbeat in time. A management plane that hangs never counts (it holds no lane); a lane that hangs always does.
package struct WatchdogStateMachine {
    package enum Action: Equatable {
        case ping
        /// systemd will restart the process when this lasts for its `WatchdogSec=`.
        case withhold(stuck: [String])
    }

    /// Seconds that an unanswered heartbeat may be old.
    private let lagLimit: Double

    package init(lagLimit: Double) {
        precondition(lagLimit > 0)
        self.lagLimit = lagLimit
    }

    package func heartbeatsRead(_ lags: [(label: String, seconds: Double)]) -> Action {
        let stuck = lags.filter { $0.seconds > lagLimit }.map(\.label)
        return stuck.isEmpty ? .ping : .withhold(stuck: stuck)
    }
}
