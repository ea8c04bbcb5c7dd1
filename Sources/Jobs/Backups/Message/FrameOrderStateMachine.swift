/// Which frame may come next in a message: 1, 2, 3 … without gap or repetition, exactly one final frame, and nothing
/// after it.
///
///     open ──regular frame──> open ──final frame──> closed ──end of input──> (whole)
///       └───────────────── anything else: refused, for good ─────────────────────┘
struct FrameOrderStateMachine {
    enum Action: Equatable {
        case open
        case acceptEnd
        case refuse(String)
    }

    private enum State {
        /// Exits: `closed` by the final frame, `refused` by any other than the expected one.
        case open(expected: UInt32)
        /// Exits: `refused` by whatever follows.
        case closed
        case refused(String)
    }

    private var state = State.open(expected: 1)

    mutating func framePrefixRead(sequence: UInt32, isFinal: Bool) -> Action {
        switch state {
        case .open(let expected) where sequence == expected && sequence != UInt32.max:
            state = isFinal ? .closed : .open(expected: expected + 1)
            return .open
        case .open(let expected): return refuse("frame \(sequence) where \(expected) must come")
        case .closed: return refuse("frame \(sequence) follows the final frame")
        case .refused(let reason): return .refuse(reason)
        }
    }

    /// Bytes follow where only the end of the message may be.
    mutating func excessRead() -> Action {
        if case .refused(let reason) = state { return .refuse(reason) }
        return refuse("bytes follow the final frame")
    }

    mutating func inputEnded() -> Action {
        switch state {
        case .open(let expected): return refuse("cut short before frame \(expected): the final frame is missing")
        case .closed: return .acceptEnd
        case .refused(let reason): return .refuse(reason)
        }
    }

    private mutating func refuse(_ reason: String) -> Action {
        state = .refused(reason)
        return .refuse(reason)
    }
}
