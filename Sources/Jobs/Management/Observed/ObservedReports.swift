import Reports

/// Says whether the plane hears what this node really does.
struct ObservedReports: Sendable {
    /// One failure is no news: a plane may be restarting.
    private static let tolerated = 1
    private static let subject = "plane"

    private let board: HealthBoard
    private let sent: Counter
    private let failed: Counter

    init(_ board: HealthBoard, _ metrics: Metrics) {
        self.board = board
        let help = "Reports of what is applied, by whether the plane took them"
        sent = metrics.counter("nodeguard_observed_reports", help, labels: [("result", "taken")])
        failed = metrics.counter("nodeguard_observed_reports", help, labels: [("result", "failed")])
    }

    func taken(generation: Int64, instance: String) {
        sent.add()
        board.clear("OBSERVED_NOT_REPORTED", subject: Self.subject)
        board.publish(
            section: "observed",
            [
                "reported": .string(Timestamp.now.description), "generation": .integer(generation),
                "instance": .string(instance),
            ])
    }

    /// `times`: in a row.
    func failed(_ reason: String, times: Int) {
        failed.add()
        guard times > Self.tolerated else { return }
        board.raise(
            HealthReason(
                "OBSERVED_NOT_REPORTED", .warn, subject: Self.subject,
                detail: "the plane does not hear what this node does: \(reason)",
                action: "check the management plane and the way to it; "
                    + "with a plane that has no such call, set management: desired: off"))
    }

    /// `flaw`: why the number of the last report may be given again after a restart.
    func counted(flaw: String?) {
        guard let flaw else { return board.clear("OBSERVED_NOT_STORED", subject: Self.subject) }
        board.raise(
            HealthReason(
                "OBSERVED_NOT_STORED", .warn, subject: Self.subject,
                detail: "the number of the last report is not on the disk, and after a restart the plane will say that "
                    + "this node was set back: \(flaw)",
                action: "make room on the disk of the state folder, and check that it belongs to the service"))
    }
}
