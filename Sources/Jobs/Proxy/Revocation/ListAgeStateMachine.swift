/// When a revocation list is to be spoken of: at half and at four fifths of its time, and at its end.
struct ListAgeStateMachine: Equatable {
    enum Stage: Int, CaseIterable, Comparable {
        case fresh = 0
        case half = 50
        case late = 80
        case ended = 100

        static func < (one: Stage, other: Stage) -> Bool { one.rawValue < other.rawValue }
    }

    enum Action: Equatable {
        case wait
        /// It has come to this stage; backwards too, when the clock is set back.
        case tell(Stage)
    }

    private(set) var stage = Stage.fresh

    /// Seconds since 1970.
    mutating func looked(at now: Int64, from begin: Int64, to end: Int64) -> Action {
        let reached = Self.stage(at: now, from: begin, to: end)
        if reached == stage { return .wait }
        stage = reached
        return .tell(reached)
    }

    static func stage(at now: Int64, from begin: Int64, to end: Int64) -> Stage {
        if now >= end { return .ended }
        let (age, life) = (Double(now) - Double(begin), Double(end) - Double(begin))
        if age >= 0.8 * life { return .late }
        return age >= 0.5 * life ? .half : .fresh
    }
}
