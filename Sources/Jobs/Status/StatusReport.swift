import Reports

/// What the node says of itself at one moment: the health board, who it is, and how busy its lanes are.
struct StatusReport: Sendable {
    static let schema = "nodeguard.status/1"
    /// A lane that leaves a heartbeat unanswered for longer is stuck, and the process no longer counts as alive.
    static let lagLimitSeconds = 15.0

    let identification: NodeIdentification
    let health: HealthBoard.Snapshot
    let lanes: [LaneSample]
    /// 0 to 1, in the order of `lanes`.
    let loads: [Double]
    let time: Timestamp

    var document: JSONValue {
        var members: [String: JSONValue] = health.sections
        members["schema"] = .string(Self.schema)
        members["generated_at"] = .string(time.description)
        members["state"] = .string(health.state.rawValue)
        members["node"] = .string(identification.node)
        members["cluster"] = identification.cluster.map { .string($0) } ?? .null
        members["version"] = .string(identification.version)
        members["started_at"] = .string(identification.started.description)
        members["uptime_seconds"] = .integer(max(0, time.seconds - identification.started.seconds))
        members["reasons"] = .array(health.reasons.map(Self.json))
        members["conditions"] = .array(
            health.conditions.map {
                ["name": .string($0.name), "met": .boolean($0.isMet), "detail": .string($0.detail)]
            })
        members["lanes"] = .array(
            zip(lanes, loads).map { lane, load in
                [
                    "label": .string(lane.label), "load": .number(Self.rounded(load)),
                    "lag_seconds": .number(Self.rounded(lane.lagSeconds)), "jobs": .count(lane.jobCount),
                    "patient": .boolean(lane.isPatient),
                ]
            })
        return .object(members)
    }

    private static func json(_ reason: HealthReason) -> JSONValue {
        [
            "code": .string(reason.code), "severity": .string(reason.severity.rawValue),
            "subject": .string(reason.subject), "since": .string(reason.since.description),
            "detail": .string(reason.detail), "action": .string(reason.action),
        ]
    }

    private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }

    /// The lanes that no longer answer; empty when the process is alive.
    var stuckLanes: [LaneSample] { lanes.filter { !$0.isPatient && $0.lagSeconds > Self.lagLimitSeconds } }

    /// One line a check, `+` holds and `-` does not, in the manner of Kubernetes' components.
    var checklist: String {
        var lines = health.conditions.map { condition in
            "[\(condition.isMet ? "+" : "-")] \(condition.name): \(condition.detail)"
        }
        lines += health.reasons.map { reason in
            let subject = reason.subject.isEmpty ? "" : " (\(reason.subject))"
            let mark = reason.severity == .info ? "+" : "-"
            return "[\(mark)] \(reason.code)\(subject): \(reason.detail); \(reason.action)"
        }
        lines += stuckLanes.map { "[-] lane \($0.label): no answer for \(Int($0.lagSeconds)) s" }
        return (lines + ["state: \(health.state.rawValue)", ""]).joined(separator: "\n")
    }

    /// Why the node is not ready, one line a condition.
    var unmetConditions: String {
        let unmet = health.conditions.filter { !$0.isMet }.map { "\($0.name): \($0.detail)" }
        return (["not ready: \(health.state.rawValue)"] + unmet + [""]).joined(separator: "\n")
    }
}
