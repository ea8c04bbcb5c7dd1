/// How long the keys of session tickets live: each seals for an hour, and opens for another.
///
///     current ──an hour──> previous ──an hour──> wiped
struct TicketKeyStateMachine {
    enum Action: Equatable {
        case keep
        /// The current one becomes the previous one, and a new one takes its place.
        case rotate
        /// Both have had their time.
        case replaceBoth
    }

    static let period = Duration.seconds(3600)

    private var began: Duration

    /// `time`: when the current key was made.
    init(at time: Duration) { began = time }

    mutating func timePassed(to time: Duration) -> Action {
        if time < began + Self.period { return .keep }
        guard time < began + Self.period * 2 else {
            began = time
            return .replaceBoth
        }
        began += Self.period
        return .rotate
    }
}
