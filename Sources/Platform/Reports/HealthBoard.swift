import Synchronization

package enum Severity: String, Sendable, Comparable, CaseIterable {
    case info, warn, error

    package static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }
    private var rank: Int { Severity.allCases.firstIndex(of: self) ?? 0 }
}

/// Something an operator should know, under a stable code (`CERTIFICATE_EXPIRES_SOON`), with what to do about it.
package struct HealthReason: Sendable, Equatable {
    package let code: String
    package let severity: Severity
    /// What exactly it is about (`role database`, `target main`); one code may stand for several subjects at once.
    package let subject: String
    package let detail: String
    package let action: String
    package var since: Timestamp

    package init(
        _ code: String, _ severity: Severity, subject: String = "", detail: String, action: String,
        since: Timestamp = .now
    ) {
        self.code = code
        self.severity = severity
        self.subject = subject
        self.detail = detail
        self.action = action
        self.since = since
    }
}

/// One thing that must hold before the node is ready (`listeners`, `certificates`, `spool`).
package struct ReadinessCondition: Sendable, Equatable {
    package let name: String
    package let isMet: Bool
    package let detail: String

    package init(_ name: String, isMet: Bool, detail: String) {
        self.name = name
        self.isMet = isMet
        self.detail = detail
    }
}

package enum NodeState: String, Sendable {
    case starting, ready, degraded, draining, failed
}

/// What all jobs say of themselves, kept in one place: many write, the status job, the watchdog and systemd's status
/// line read. Safe from any thread; each call holds its mutex for a few loads and stores.
package final class HealthBoard: Sendable {
    private struct Contents {
        var reasons: [String: HealthReason] = [:]
        var conditions: [String: ReadinessCondition] = [:]
        var sections: [String: JSONValue] = [:]
        var isDraining = false
        var wasReady = false
    }

    package struct Snapshot: Sendable {
        package let state: NodeState
        /// Worst first, then the oldest.
        package let reasons: [HealthReason]
        package let conditions: [ReadinessCondition]
        /// Each job's own part of the status document (`certificates`, `proxy`, `backups`, `audit`).
        package let sections: [String: JSONValue]
        package var isReady: Bool { state == .ready || state == .degraded }
    }

    private let contents: Mutex<Contents>

    /// `conditions`: the names that must be met before the node counts as ready.
    package init(conditions: [String]) {
        var initial = Contents()
        for name in conditions {
            initial.conditions[name] = ReadinessCondition(name, isMet: false, detail: "not started yet")
        }
        contents = Mutex(initial)
    }

    /// Raises a reason, or updates its text; `since` stays what it was when it is already up.
    package func raise(_ reason: HealthReason) {
        contents.withLock { contents in
            let key = reason.code + "\u{0}" + reason.subject
            var new = reason
            if let old = contents.reasons[key] { new.since = old.since }
            contents.reasons[key] = new
        }
    }

    package func clear(_ code: String, subject: String = "") {
        contents.withLock { _ = $0.reasons.removeValue(forKey: code + "\u{0}" + subject) }
    }

    package func set(_ condition: ReadinessCondition) {
        contents.withLock { $0.conditions[condition.name] = condition }
    }

    package func publish(section name: String, _ value: JSONValue) {
        contents.withLock { $0.sections[name] = value }
    }

    package func beginDraining() { contents.withLock { $0.isDraining = true } }
    package func endDraining() { contents.withLock { $0.isDraining = false } }

    package var snapshot: Snapshot {
        contents.withLock { contents in
            let conditions = contents.conditions.values.sorted { $0.name < $1.name }
            let reasons = contents.reasons.values.sorted {
                $0.severity != $1.severity ? $0.severity > $1.severity : $0.since < $1.since
            }
            let isReady = conditions.allSatisfy(\.isMet)
            if isReady { contents.wasReady = true }
            let state: NodeState =
                if contents.isDraining {
                    .draining
                } else if !isReady {
                    contents.wasReady ? .failed : .starting
                } else if reasons.contains(where: { $0.severity >= .warn }) {
                    .degraded
                } else {
                    .ready
                }
            return Snapshot(state: state, reasons: reasons, conditions: conditions, sections: contents.sections)
        }
    }
}
