/// When a host name is looked up, and who waits for it.
///
/// Owned by `RemoteLookup`, under its lock. Each connection wants the addresses of now; one lookup serves all that come
/// while it runs or within a moment after it, so that a burst of connections is no burst of questions.
struct LookupStateMachine: Hashable {
    enum Action: Hashable {
        /// Look it up, then call `ended`; meanwhile wait.
        case begin
        case wait
        /// What was found last is of now.
        case proceed
    }

    static let freshness = Duration.seconds(1)

    private var isLooking = false
    /// When the last one ended, well or badly: a name server that is away is not asked more often either.
    private(set) var endedAt: Duration?

    mutating func asked(at time: Duration) -> Action {
        if isLooking { return .wait }
        if let endedAt, time - endedAt < Self.freshness { return .proceed }
        isLooking = true
        return .begin
    }

    mutating func ended(at time: Duration) {
        isLooking = false
        endedAt = time
    }

    /// Nobody has asked for so long.
    func isDue(every interval: Duration, at time: Duration) -> Bool {
        if isLooking { return false }
        return endedAt.map { time - $0 >= interval } ?? true
    }
}
