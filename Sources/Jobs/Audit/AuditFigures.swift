import Reports
import Synchronization

/// What the audit job counts, for metrics and status: the spool and the shipper write, whoever scrapes reads.
final class AuditFigures: Sendable {
    struct Log: Sendable, Equatable {
        var epoch: UInt64 = 0
        var last: UInt64 = 0
        var acknowledged: UInt64 = 0
        /// The plane's last cosignature covers everything up to here.
        var cosigned: UInt64 = 0
        /// C2SP verifier keys: of the witness, and of the log itself.
        var witness: String?
        var key = ""
        var bytes: Int64 = 0
        var limit: Int64 = 0
        /// Of the oldest event that waits.
        var oldest: Timestamp?
        var isOpen = false

        var waiting: UInt64 { last - min(last, acknowledged) }
    }

    private struct Contents {
        var log = Log()
        var spoolProblem: String?
        var shippingProblem: String?
    }

    private let contents = Mutex(Contents())
    private let events: [AuditClass: Counter]
    private let dropped: [AuditClass: Counter]
    let lost: Counter
    let quarantined: Counter
    let commits: Histogram

    init(_ metrics: Metrics) {
        func counters(_ name: String, _ help: String) -> [AuditClass: Counter] {
            Dictionary(
                uniqueKeysWithValues: AuditClass.allCases.map {
                    ($0, metrics.counter(name, help, labels: [("class", $0.name)]))
                })
        }
        events = counters("nodeguard_audit_events", "Audit events that are durable.")
        dropped = counters("nodeguard_audit_dropped", "Audit events dropped by policy, told by a signed gap event.")
        lost = metrics.counter("nodeguard_audit_lost", "Audit events that are missing without a signed gap event.")
        quarantined = metrics.counter("nodeguard_audit_quarantined", "Spools that were put aside.")
        commits = metrics.histogram("nodeguard_audit_fsync_seconds", "Time until a group of events is durable.")
        addGauges(metrics)
    }

    private func addGauges(_ metrics: Metrics) {
        metrics.gauge("nodeguard_audit_spool_bytes", "Bytes of events in the spool.") { [self] in
            [([], Double(log.bytes))]
        }
        metrics.gauge("nodeguard_audit_spool_events", "Events that wait for the plane.") { [self] in
            [([], Double(log.waiting))]
        }
        metrics.gauge("nodeguard_audit_oldest_record_age_seconds", "Age of the oldest event that waits.") { [self] in
            [([], age(log))]
        }
    }

    var log: Log { contents.withLock { $0.log } }

    func update(_ log: Log) { contents.withLock { $0.log = log } }
    func setSpoolProblem(_ text: String?) { contents.withLock { $0.spoolProblem = text } }
    func setShippingProblem(_ text: String?) { contents.withLock { $0.shippingProblem = text } }

    func committed(_ new: [AuditEvent], without unstored: [AuditClass: UInt64]) {
        var counts: [AuditClass: UInt64] = [:]
        for event in new { counts[event.name.auditClass, default: 0] += 1 }
        for (auditClass, count) in counts { events[auditClass]?.add(count - (unstored[auditClass] ?? 0)) }
    }

    func droppedEvents(_ counts: [AuditClass: UInt64]) {
        for (auditClass, count) in counts { dropped[auditClass]?.add(count) }
    }

    private var droppedCount: UInt64 { dropped.values.reduce(0) { $0 + $1.value } }

    private func age(_ log: Log) -> Double {
        guard let oldest = log.oldest else { return 0 }
        return max(0, Double(Timestamp.now.nanoseconds - oldest.nanoseconds) / 1e9)
    }

    /// The job's part of the status document.
    var section: JSONValue {
        let (log, problem) = contents.withLock { ($0.log, $0.spoolProblem ?? $0.shippingProblem) }
        return [
            "epoch": .count(log.epoch), "next_seq": .count(log.last + 1), "acknowledged": .count(log.acknowledged),
            "cosigned": .count(log.cosigned), "witness": log.witness.map { .string($0) } ?? .null,
            "log_key": log.key.isEmpty ? .null : .string(log.key),
            "spooled_events": .count(log.waiting), "spooled_bytes": .count(log.bytes), "limit_bytes": .count(log.limit),
            "oldest_age_seconds": .count(Int64(age(log))), "dropped": .count(droppedCount),
            "lost": .count(lost.value), "last_error": problem.map { .string($0) } ?? .null,
        ]
    }
}
