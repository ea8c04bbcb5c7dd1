/// Lets so many refusals a second into the audit log and counts the others, so that a flood cannot fill the spool.
struct RefusalBudgetStateMachine {
    enum Action: Equatable {
        /// `suppressed`: how many were left out since the last one that was reported.
        case report(suppressed: Int)
        case suppress
    }

    private let limit: Int
    private var window = Duration.zero
    private var reported = 0
    private var suppressed = 0

    init(perSecond limit: Int) { self.limit = limit }

    mutating func refused(at time: Duration) -> Action {
        if time - window >= .seconds(1) { (window, reported) = (time, 0) }
        guard reported < limit else {
            suppressed += 1
            return .suppress
        }
        reported += 1
        defer { suppressed = 0 }
        return .report(suppressed: suppressed)
    }

    /// A quiet second has come: what was left out, to be told now.
    mutating func ticked(at time: Duration) -> Int {
        guard time - window >= .seconds(1) else { return 0 }
        defer { suppressed = 0 }
        return suppressed
    }
}
