/// When a token is opened, used, left alone and tried again. Times are seconds of any clock that does not go back.
///
/// A token that hangs or is gone is let alone for a while, so that whoever needs it is refused at once instead of
/// waiting each time (a circuit breaker). A PIN that was refused is not tried again until its file has changed: a token
/// counts wrong ones, and locks itself for good.
package struct TokenStateMachine: Equatable {
    package enum Fault: String, Sendable, CaseIterable, Codable {
        /// Not there, or it does not know the key.
        case unreachable
        /// No answer in time.
        case silent
        case pinRefused = "pin-refused"
        /// One more wrong PIN would lock it, or has.
        case pinLocked = "pin-locked"
    }

    package enum Action: Equatable {
        case open
        /// Until then, or until something happens.
        case wait(until: Double?)
    }

    private enum State: Equatable {
        case untried
        case opening
        case working
        case resting(until: Double)
        /// An operator must do something about the PIN.
        case barred
    }

    static let firstPause = 1.0
    static let longestPause = 60.0
    /// How often the PIN's file is looked at.
    static let look = 5.0

    private var state = State.untried
    /// Since an operation succeeded.
    private var failures = 0
    package private(set) var fault: Fault?

    package init() {}

    package var isWorking: Bool { state == .working }

    package mutating func nextAction(at now: Double) -> Action {
        switch state {
        case .untried:
            state = .opening
            return .open
        case .resting(let time) where time <= now:
            state = .opening
            return .open
        case .resting(let time): return .wait(until: time)
        case .opening, .working: return .wait(until: nil)
        case .barred: return .wait(until: now + Self.look)
        }
    }

    package mutating func opened() {
        state = .working
        fault = nil
    }

    /// An operation came to its end.
    package mutating func performed() { failures = 0 }

    /// While it was opened, or used.
    package mutating func failed(_ fault: Fault, at now: Double) {
        // Whatever else goes wrong, a refused PIN stays refused.
        if state == .barred { return }
        self.fault = fault
        switch fault {
        case .unreachable, .silent:
            state = .resting(until: now + min(Self.longestPause, Self.firstPause * Double(1 << min(failures, 6))))
            failures += 1
        case .pinRefused, .pinLocked: state = .barred
        }
    }

    /// There may be another PIN than was refused.
    package mutating func pinChanged() {
        if state == .barred { state = .untried }
    }
}
