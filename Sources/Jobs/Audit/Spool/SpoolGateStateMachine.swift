/// Whether nobody new is let in because what they do could not be told: while the spool cannot be written, and from
/// when it is full until there is real room, so that this does not change with each event.
struct SpoolGateStateMachine {
    private let closesAt: Int64
    private let opensAt: Int64
    private var isFull = false
    private var isFailing = false

    var isClosed: Bool { isFull || isFailing }

    /// In bytes that wait. `opensAt` is less than `closesAt`.
    init(closesAt: Int64, opensAt: Int64) {
        self.closesAt = closesAt
        self.opensAt = opensAt
    }

    mutating func written(waiting bytes: Int64) {
        isFailing = false
        if bytes >= closesAt { isFull = true }
        if bytes <= opensAt { isFull = false }
    }

    mutating func writingFailed() { isFailing = true }
}
