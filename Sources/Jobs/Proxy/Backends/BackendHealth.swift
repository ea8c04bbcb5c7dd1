import IO
import Reports
import Synchronization

/// How often the databases of a listener are probed, and for how long a probe waits.
package struct BackendHealthRules: Sendable, Equatable {
    package var every: Duration
    package var timeout: Duration

    package init(every: Duration = .seconds(5), timeout: Duration = .seconds(2)) {
        self.every = every
        self.timeout = timeout
    }
}

/// What is known of the databases of one listener; shared by all lanes. Without rules nothing is known, and every
/// address is worth a try.
final class BackendHealth: Sendable {
    /// Of one address, at one moment.
    struct Finding {
        let address: SocketAddress
        let state: BackendHealthStateMachine.State
        let age: Duration
        let reason: String?
    }

    let rules: BackendHealthRules?
    private let origin = ContinuousClock.now
    private let probes = Atomic<Int>(0)
    private let machines: Mutex<[(address: SocketAddress, machine: BackendHealthStateMachine)]>
    /// What connections and probes have met, rules or not.
    private struct Experience {
        var failure: (at: Duration, reason: String)?
        var hasConnected = false
    }

    private let experience = Mutex(Experience())

    init(_ addresses: [SocketAddress], _ rules: BackendHealthRules?) {
        self.rules = rules
        machines = Mutex(addresses.map { ($0, BackendHealthStateMachine(at: .zero)) })
    }

    var findings: [Finding] {
        if rules == nil { return [] }
        let now = now
        return machines.withLock { $0 }.map { address, machine in
            Finding(address: address, state: machine.state, age: now - machine.since, reason: machine.reason)
        }
    }

    /// Those that are worth a try, in their order.
    var worthTrying: [SocketAddress] {
        machines.withLock { $0 }.filter { rules == nil || $0.machine.state != .down }.map(\.address)
    }

    /// The addresses of now: what is known of those that stay is kept.
    func adopt(_ addresses: [SocketAddress]) {
        let now = now
        machines.withLock { machines in
            machines = addresses.map { address in
                machines.first { $0.address == address } ?? (address, BackendHealthStateMachine(at: now))
            }
        }
    }

    /// Of the last connection or probe, if it came to nothing.
    var lastFailure: (age: Duration, reason: String)? {
        experience.withLock { $0.failure }.map { (now - $0.at, $0.reason) }
    }

    var hasConnected: Bool { experience.withLock { $0.hasConnected } }

    private func experienced(_ failure: String?) {
        let now = now
        experience.withLock { experience in
            experience.failure = failure.map { (now, $0) }
            if failure == nil { experience.hasConnected = true }
        }
    }

    /// Addresses whose probe is to begin now.
    func takeDueProbes() -> [SocketAddress] {
        guard let rules else { return [] }
        let now = now
        return machines.withLock { machines in
            machines.indices.filter { machines[$0].machine.probeIsDue(every: rules.every, at: now) }
                .map { machines[$0].address }
        }
    }

    func connected(_ address: SocketAddress) {
        experienced(nil)
        change(address) { $0.connected(at: $1) }
    }

    func failed(_ address: SocketAddress, _ reason: String) {
        experienced(reason)
        change(address) { $0.failed(reason, at: $1) }
    }

    /// Those that are over.
    var probeCount: Int { probes.load(ordering: .relaxed) }

    /// `failure`: nil when it answered as it should.
    func probed(_ address: SocketAddress, failure: String?) {
        probes.wrappingAdd(1, ordering: .relaxed)
        experienced(failure)
        change(address) { machine, now in
            if let failure { machine.probeFailed(failure, at: now) } else { machine.probeAnswered(at: now) }
        }
    }

    private func change(
        _ address: SocketAddress, _ body: (inout BackendHealthStateMachine, Duration) -> Void
    ) {
        if rules == nil { return }
        let now = now
        machines.withLock { machines in
            for index in machines.indices where machines[index].address == address {
                body(&machines[index].machine, now)
            }
        }
    }

    private var now: Duration { ContinuousClock.now - origin }
}

extension BackendHealth.Finding {
    /// Its part of the status document.
    var document: JSONValue {
        .object([
            "address": .string(address.description), "state": .string(state.rawValue),
            "seconds": .count(age.components.seconds), "reason": reason.map { .string($0) } ?? .null,
        ])
    }

    var text: String { "\(address) down for \(age.components.seconds) s: \(reason ?? "no reason")" }
}
