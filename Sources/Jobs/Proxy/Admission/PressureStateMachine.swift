/// Something that runs out: newcomers are turned away before anything fails for want of it.
enum Pressure: Equatable {
    /// Bytes.
    case memory(MemoryReading)
    /// How many are left.
    case descriptors(Int)
}

/// Memory that is used, of how much there may be, in bytes.
struct MemoryReading: Equatable {
    enum Whose: Equatable {
        /// `limits: memory:`
        case process
        /// Its unit's `MemoryMax=`.
        case controlGroup
    }

    let whose: Whose
    let used: Int
    let limit: Int

    var percent: Int { limit > 0 ? Int(Double(used) / Double(limit) * 100) : 0 }
}

/// How far newcomers are turned away for want of memory: at 90 % all but those that places are reserved for, at 97 %
/// these too. It ends at 85 %, so that it does not come and go with each of them.
struct PressureStateMachine {
    enum Level: Comparable { case none, high, critical }

    static let high = 90
    static let critical = 97
    static let relief = 85

    private(set) var level = Level.none
    /// What it is for.
    private(set) var reading: MemoryReading?

    /// The one that is nearest to its limit counts.
    mutating func observed(_ readings: [MemoryReading]) {
        let tightest = readings.max { $0.percent < $1.percent }
        let percent = tightest?.percent ?? 0
        switch level {
        case _ where percent >= Self.critical: level = .critical
        case _ where percent >= Self.high: level = .high
        case _ where percent < Self.relief: level = .none
        case .critical: level = .high
        case .none, .high: break
        }
        reading = level == .none ? nil : tightest
    }
}

/// How few descriptors are left, told by the number of a new one: each is the lowest that is free (open(2)), so all
/// below it are taken.
struct DescriptorMargin {
    /// Newcomers are turned away when so few are left, those that places are reserved for when half of them are.
    let margin: Int
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
        margin = min(128, limit / 8)
    }

    func level(_ number: Int) -> (level: PressureStateMachine.Level, left: Int) {
        let left = max(0, limit - number - 1)
        return (left < margin / 2 ? .critical : left < margin ? .high : .none, left)
    }
}
