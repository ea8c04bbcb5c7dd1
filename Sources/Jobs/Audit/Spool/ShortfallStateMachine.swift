/// When an event tells of those that found no room: with the first of them, then once a minute while it lasts, and when
/// there is room again.
struct ShortfallStateMachine {
    static let interval = Duration.seconds(60)
    /// Room that comes and goes is not told of each time.
    static let pause = Duration.seconds(1)

    private(set) var counts: [AuditClass: UInt64] = [:]
    private var lastTold: Duration?

    mutating func dropped(_ new: [AuditClass: UInt64]) { counts.merge(new, uniquingKeysWith: +) }

    /// What is to be told of now; it counts as told.
    mutating func told(hasRoom: Bool, at time: Duration) -> [AuditClass: UInt64] {
        guard !counts.isEmpty else { return [:] }
        if let lastTold, time - lastTold < (hasRoom ? Self.pause : Self.interval) { return [:] }
        lastTold = time
        defer { counts = [:] }
        return counts
    }
}
