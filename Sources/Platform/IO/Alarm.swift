import Dispatch
import Glibc
import Synchronization

package enum Wake: Sendable, Equatable {
    case elapsed, rung, cancelled
}

/// Waiting for a moment of the wall clock, or for a ring, whichever is first. One waiter at a time.
///
/// The moment is compared with the wall clock at least every 30 s: a timer that counts elapsed time alone sleeps through a
/// suspended machine and a stepped clock (istio/ztunnel#1481).
package final class Alarm: Sendable {
    private static let recheck = 30.0

    private struct State {
        var isRung = false
        var waiter: CheckedContinuation<Wake, Never>?
        /// Counts waits, so that a timer of an earlier wait wakes nobody.
        var number: UInt64 = 0
    }

    private let queue: DispatchQueue
    private let state = Mutex(State())

    package init(label: String) { queue = DispatchQueue(label: "nodeguard.alarm.\(label)") }

    package func wait(for duration: Duration) async -> Wake {
        await wait(untilUnixSeconds: Self.wallClock + duration.seconds)
    }

    package func wait(untilUnixSeconds deadline: Double) async -> Wake {
        while true {
            let left = deadline - Self.wallClock
            if left <= 0 {
                let isRung = state.withLock { state in
                    defer { state.isRung = false }
                    return state.isRung
                }
                return Task.isCancelled ? .cancelled : isRung ? .rung : .elapsed
            }
            let wake = await waitOnce(min(left, Self.recheck))
            if wake != .elapsed { return wake }
        }
    }

    /// Wakes the waiter; if there is none, the next wait returns at once.
    package func ring() { finish(.rung) }

    private func waitOnce(_ seconds: Double) async -> Wake {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let number = state.withLock { state -> UInt64? in
                    precondition(state.waiter == nil, "an alarm has one waiter")
                    if state.isRung {
                        state.isRung = false
                        return nil
                    }
                    state.waiter = continuation
                    state.number += 1
                    return state.number
                }
                guard let number else { return continuation.resume(returning: .rung) }
                if Task.isCancelled { return finish(.cancelled) }
                queue.asyncAfter(deadline: .now() + seconds) { [self] in finish(.elapsed, number) }
            }
        } onCancel: {
            finish(.cancelled)
        }
    }

    private func finish(_ wake: Wake, _ number: UInt64? = nil) {
        let waiter = state.withLock { state -> CheckedContinuation<Wake, Never>? in
            if let number, number != state.number { return nil }
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
