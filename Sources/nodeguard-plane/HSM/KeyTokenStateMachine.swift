/// Whether a call may use the plane's token, must open it first, or is refused at once. Times are seconds of a clock
/// that does not go back.
///
/// After a fault the token is left alone for a while that doubles: a storm of calls neither waits for one that hangs
/// nor keeps it from coming back. A PIN that was refused is not tried again before its file says something else: tokens
/// count wrong ones, and lock themselves for good.
struct KeyTokenStateMachine: Equatable {
    enum Fault: String, Sendable, CaseIterable {
        /// Not there, or without the plane's keys.
        case unreachable
        /// No answer in time.
        case silent
        case pinRefused = "pin-refused"
        /// It was locked, or one more wrong PIN would lock it.
        case pinLocked = "pin-locked"
    }

    enum Action: Equatable {
        case use
        /// Whoever is told so opens it, and says how that ended.
        case open
        case refuse(Fault)
    }

    private enum Phase: Equatable {
        case closed
        case opening
        case usable
        case resting(until: Double)
        case barred
    }

    static let firstPause = 1.0
    static let longestPause = 60.0

    private var phase = Phase.closed
    /// In a row, without a call that ended well.
    private var faults = 0
    private(set) var fault: Fault?

    var isUsable: Bool { phase == .usable }
    /// By its PIN.
    var isBarred: Bool { phase == .barred }

    /// `mayOpen`: false for calls that are not to wait until a token is opened that may hang.
    mutating func called(at now: Double, mayOpen: Bool) -> Action {
        switch phase {
        case .usable: return .use
        case .closed where mayOpen: phase = .opening
        case .resting(let end) where mayOpen && now >= end: phase = .opening
        default: return .refuse(fault ?? .unreachable)
        }
        return .open
    }

    mutating func opened() {
        phase = .usable
        fault = nil
    }

    /// A call came to its end.
    mutating func answered() { faults = 0 }

    /// At its opening, or in a call.
    mutating func failed(_ fault: Fault, at now: Double) {
        // Whatever else goes wrong meanwhile, a PIN that was refused stays refused.
        if phase == .barred { return }
        self.fault = fault
        switch fault {
        case .pinRefused, .pinLocked: phase = .barred
        case .unreachable, .silent:
            var pause = Self.firstPause
            for _ in 0..<min(faults, 6) { pause *= 2 }
            phase = .resting(until: now + min(pause, Self.longestPause))
            faults += 1
        }
    }

    /// There may be another PIN than was refused.
    mutating func pinChanged() {
        if phase == .barred { phase = .closed }
    }
}
