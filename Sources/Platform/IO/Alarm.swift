import Dispatch
import Glibc
import Synchronization

package enum Wake: Sendable, Equatable {
    case elapsed, rung, cancelled
}

/// Waiting for a moment, or for a ring, whichever is first. One waiter at a time.
///
/// The moment is compared with its clock at least every 30 s: a timer that counts elapsed time alone sleeps through a
/// suspended machine and a stepped clock (istio/ztunnel#1481).
package final class Alarm: Sendable {
    private static let recheck = 30.0

    private struct State {
        var isRung = false
        var waiter: CheckedContinuation<Wake, Never>?
        let timer: any DispatchSourceTimer
    }

    private let state: Mutex<State>

    package init(label: String) {
        let queue = DispatchQueue(label: "nodeguard.alarm.\(label)")
        state = Mutex(State(timer: DispatchSource.makeTimerSource(queue: queue)))
        state.withLock { state in
            state.timer.setEventHandler { [weak self] in self?.finish(.elapsed) }
            state.timer.activate()
        }
    }

    deinit { state.withLock { $0.timer.cancel() } }

    /// By the clock that cannot be set and that goes on in suspension.
    package func wait(for duration: Duration) async -> Wake {
        let deadline = ContinuousClock.now + duration
        return await wait { ContinuousClock.now.duration(to: deadline).seconds }
    }

    /// By the wall clock.
    package func wait(untilUnixSeconds deadline: Double) async -> Wake {
        await wait { deadline - Self.wallClock }
    }

    /// Wakes the waiter; if there is none, the next wait returns at once.
    package func ring() { finish(.rung) }

    private func wait(_ secondsLeft: @Sendable () -> Double) async -> Wake {
        while true {
            let left = secondsLeft()
            if left <= 0 { return Task.isCancelled ? .cancelled : takeRing() ? .rung : .elapsed }
            let wake = await waitOnce(min(left, Self.recheck))
            // A timer of an earlier wait may have gone off: only the clock says that the time has come.
            if wake != .elapsed { return wake }
        }
    }

    private func takeRing() -> Bool {
        state.withLock { state in
            defer { state.isRung = false }
            return state.isRung
        }
    }

    private func waitOnce(_ seconds: Double) async -> Wake {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isWaiting = state.withLock { state in
                    precondition(state.waiter == nil, "an alarm has one waiter")
                    if state.isRung {
                        state.isRung = false
                        return false
                    }
                    state.waiter = continuation
                    state.timer.schedule(deadline: .now() + seconds)
                    return true
                }
                guard isWaiting else { return continuation.resume(returning: .rung) }
                if Task.isCancelled { finish(.cancelled) }
            }
        } onCancel: {
            finish(.cancelled)
        }
    }

    private func finish(_ wake: Wake) {
        let waiter = state.withLock { state in
            if state.waiter == nil, wake == .rung { state.isRung = true }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: wake)
    }

    private static var wallClock: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
