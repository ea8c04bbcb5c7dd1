/// When what waits is made durable: at once what must not wait, the rest when it has waited a little for company.
struct CommitStateMachine {
    /// A commit costs as much as some dozens of events.
    static let delay = Duration.milliseconds(20)
    /// After the disk refused, however urgent it is.
    static let retry = Duration.seconds(1)
    /// The spool is looked at so often when nothing happens.
    static let idle = Duration.seconds(5)

    enum Action: Equatable {
        case commit
        /// At most so long; events that come may change that.
        case wait(for: Duration)
    }

    private var waitingSince: Duration?
    private var lastCommit = Duration.zero
    private var progress = AuditSpool.Progress.done

    /// What waits now. `isUrgent`: a security event, or a whole commit's worth.
    mutating func observed(isEmpty: Bool, isUrgent: Bool, at time: Duration) -> Action {
        switch progress {
        case .more: return .commit
        case .blocked: return action(due: lastCommit + Self.retry, at: time)
        case .done: break
        }
        if isEmpty { return action(due: lastCommit + Self.idle, at: time) }
        if isUrgent { return .commit }
        let since = waitingSince ?? time
        waitingSince = since
        return action(due: since + Self.delay, at: time)
    }

    mutating func committed(_ progress: AuditSpool.Progress, at time: Duration) {
        self.progress = progress
        waitingSince = nil
        lastCommit = time
    }

    private func action(due: Duration, at time: Duration) -> Action {
        due <= time ? .commit : .wait(for: due - time)
    }
}
