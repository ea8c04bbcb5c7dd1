import Dispatch
import HTTP
import Synchronization

/// Ends the waits and the requests of threads that may block: all of them, at once and from then on.
final class Halt: Sendable {
    private let group = DispatchGroup()
    private let halted = Mutex(false)
    let calls = BlockingCalls()

    init() { group.enter() }
    deinit { halt() }

    var isHalted: Bool { halted.withLock { $0 } }

    func halt() {
        let isFirst = halted.withLock { halted in
            defer { halted = true }
            return !halted
        }
        guard isFirst else { return }
        group.leave()
        calls.cancel()
    }

    /// Whether the time passed; false when it was cut short.
    func wait(milliseconds: Int64) -> Bool {
        if milliseconds <= 0 { return !isHalted }
        return group.wait(timeout: .now() + .milliseconds(Int(milliseconds))) == .timedOut
    }
}
