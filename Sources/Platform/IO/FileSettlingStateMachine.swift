/// When files that others write have come to rest and may be read: after a quiet spell in which nobody has one of them
/// open for writing, as far as is known, and at the latest after a limit.
///
///     resting ──stirred──> stirring ──quiet, no writer──> (look) ──> resting
///                              └────────limit───────────────┘
struct FileSettlingStateMachine {
    enum Action: Equatable {
        case rest
        case wait(until: Duration)
        case look
    }

    private let quiet: Duration
    private let limit: Duration
    private var first: Duration?
    private var last = Duration.zero
    /// Written in place and not closed since.
    private var writing: Set<String> = []

    init(quiet: Duration, limit: Duration) {
        self.quiet = quiet
        self.limit = limit
    }

    /// Something is other than it was: renamed, removed, made.
    mutating func stirred(at time: Duration) {
        first = first ?? time
        last = time
    }

    mutating func written(_ path: String, at time: Duration) {
        writing.insert(path)
        stirred(at: time)
    }

    mutating func closed(_ path: String, at time: Duration) {
        writing.remove(path)
        stirred(at: time)
    }

    mutating func timePassed(to time: Duration) -> Action {
        guard let begun = first else { return .rest }
        let due = writing.isEmpty ? min(last + quiet, begun + limit) : begun + limit
        if time < due { return .wait(until: due) }
        first = nil
        writing = []
        return .look
    }
}
