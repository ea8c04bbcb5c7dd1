import Reports
import Synchronization

/// Answers local calls from the source that it was given. Knows no socket, so tests ask it directly.
final class LocalCalls: Sendable {
    private let source: StatusSource
    private let audit: AuditReporter
    private let window: Mutex<LoadWindow>
    private let clock = ContinuousClock()
    private let began: ContinuousClock.Instant

    init(source: StatusSource, audit: AuditReporter) {
        self.source = source
        self.audit = audit
        began = clock.now
        window = Mutex(LoadWindow(time: 0))
    }

    /// `caller` is nil on the read-only socket: there nobody is asked who they are.
    func answer(method: String, path: String, query: String?, caller: PeerCredentials?) async -> LocalAnswer {
        let call: LocalCall
        do {
            call = try LocalCall(method: method, path: path, query: query)
        } catch {
            return finish(LocalAnswer(error), "\(method) \(path)", caller)
        }
        if call.needsControl, caller == nil {
            return .problem(403, "this call is answered on the control socket only")
        }
        return finish(await perform(call), "\(method) \(path)", caller)
    }

    private func finish(_ answer: LocalAnswer, _ call: String, _ caller: PeerCredentials?) -> LocalAnswer {
        guard let caller else { return answer }
        let outcome: AuditOutcome =
            switch answer.status {
            case ..<400: .success
            case ..<500: .refused
            default: .failure
            }
        audit.report(
            AuditEvent(
                .controlCall, outcome,
                fields: [
                    "call": .string(String(call.prefix(Self.callTextLimit))), "status": .count(answer.status),
                    "caller.uid": .count(caller.user), "caller.gid": .count(caller.group),
                    "caller.pid": .count(caller.process),
                ]))
        return answer
    }

    private static let callTextLimit = 200

    private func perform(_ call: LocalCall) async -> LocalAnswer {
        switch call {
        case .live:
            let stuck = report().stuckLanes
            if stuck.isEmpty { return .text("alive\n") }
            let lines = stuck.map { "lane \($0.label): no answer for \(Int($0.lagSeconds)) s\n" }
            return .text(lines.joined(), status: 503)
        case .ready:
            let report = report()
            return report.health.isReady ? .text("ready\n") : .text(report.unmetConditions, status: 503)
        case .health(let isVerbose):
            let report = report()
            let isWell = report.health.isReady && report.stuckLanes.isEmpty
            return .text(
                isVerbose ? report.checklist : report.health.state.rawValue + "\n", status: isWell ? 200 : 503)
        case .status: return .json(report().document)
        case .metrics: return LocalAnswer(status: 200, form: .openMetrics, body: source.metrics.openMetricsText)
        case .section(let name): return .json(section(name))
        case .connections(let after, let limit): return .json(await source.control.connections(after, limit))
        case .events(let count): return .json(await source.control.events(count))
        case .renew(let role): return LocalAnswer(await source.control.renew(role))
        case .kill(let connection): return LocalAnswer(await source.control.kill(connection))
        case .bans: return .json(await source.control.bans.list())
        case .lift(let network): return LocalAnswer(await source.control.bans.lift(network))
        case .drain: return LocalAnswer(await source.control.drain())
        case .reload(let waits): return LocalAnswer(await source.control.reload(waits))
        case .undrain: return LocalAnswer(await source.control.undrain())
        }
    }

    /// Beside the certificates stands what each port shows of them.
    private func section(_ name: String) -> JSONValue {
        let sections = source.health.snapshot.sections
        guard name == "certificates", case .object(var members)? = sections[name] else {
            return sections[name] ?? .null
        }
        for kind in ["listeners", "tunnels"] {
            guard case .object(let proxy)? = sections["proxy"], case .array(let ports)? = proxy[kind] else { continue }
            members[kind] = .array(
                ports.compactMap { port in
                    guard case .object(let all) = port else { return nil }
                    return .object(all.filter { ["name", "addresses", "state", "certificates"].contains($0.key) })
                })
        }
        return .object(members)
    }

    private func report() -> StatusReport {
        let lanes = LaneSample.distinct(source.lanes())
        let seconds = (clock.now - began) / .seconds(1)
        return StatusReport(
            identification: source.identification(), health: source.health.snapshot, lanes: lanes,
            loads: window.withLock { $0.sampled(lanes, at: seconds) }, time: .now)
    }

    /// The figures that belong to no job.
    func registerMetrics() {
        let source = source
        source.metrics.gauge("nodeguard_build_info", "1, with the version as a label") {
            [([("version", source.identification().version)], 1)]
        }
        source.metrics.gauge("nodeguard_start_time_seconds", "when the process began, in seconds since 1970") {
            [([], Double(source.identification().started.nanoseconds) / 1e9)]
        }
        source.metrics.gauge("nodeguard_state", "1 for the state that the node is in, 0 for the others") {
            let state = source.health.snapshot.state
            return NodeState.all.map { ([("state", $0.rawValue)], $0 == state ? 1 : 0) }
        }
        source.metrics.gauge("nodeguard_health_reasons", "reasons that are up now, by severity") {
            let reasons = source.health.snapshot.reasons
            return Severity.allCases.map { severity in
                ([("severity", severity.rawValue)], Double(reasons.count { $0.severity == severity }))
            }
        }
        source.metrics.gauge("nodeguard_lane_busy_seconds", "time that a lane or queue has worked, since the start") {
            LaneSample.distinct(source.lanes()).map { ([("lane", $0.label)], $0.busySeconds) }
        }
        source.metrics.gauge(
            "nodeguard_lane_lag_seconds", "age of a lane's unanswered heartbeat, of those that never may be late"
        ) {
            LaneSample.distinct(source.lanes()).filter { !$0.isPatient }.map { ([("lane", $0.label)], $0.lagSeconds) }
        }
    }
}

extension NodeState {
    /// In the order in which a node usually passes through them.
    package static let all: [NodeState] = [.starting, .ready, .degraded, .draining, .failed]
}
