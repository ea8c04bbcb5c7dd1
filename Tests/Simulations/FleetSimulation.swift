import Certificates

/// The renewals of a fleet in simulated time: each node has its identity and one role, and the agent's own state
/// machine and jitter for each. What the network and the plane add is left out: an answer takes no time. The same seed,
/// the same course.
package struct FleetSimulation: Sendable {
    /// Renewals are mixed by then, however they began.
    private static let warmUp = 4 * 86_400.0
    private static let day = 86_400.0

    package let nodes: Int
    /// Of each certificate, in seconds.
    package let life: Double
    private let seed: UInt64

    package init(nodes: Int = 5000, life: Double = 86_400, seed: UInt64 = 1) {
        (self.nodes, self.life, self.seed) = (nodes, life, seed)
    }

    /// When the node identities are renewed that were all issued at 0, in order: as shares of the window that the
    /// jitter has, from its beginning.
    package func firstRenewals() -> [Double] {
        let window = life / 10
        let begin = life * 2 / 3 - window
        return (0..<nodes).map { number in
            var certificate = SimulatedCertificate(.node, node: number, serial: seed)
            certificate.take(notBefore: 0, life: life, isServed: true)
            return ((certificate.machine.nextRenewal(at: 0) ?? 0) - begin) / window
        }.sorted()
    }

    /// A fleet that has run for days loses its plane for `seconds`.
    package func outage(of seconds: Double) -> FleetOutage {
        var random = SeededGenerator(seed: seed)
        var certificates = (0..<nodes * 2).map { number in
            var certificate = SimulatedCertificate(
                number.isMultiple(of: 2) ? .node : .role, node: number / 2, serial: random.next())
            let age = Double.random(in: 0..<life * 2 / 3, using: &random)
            certificate.take(notBefore: -age, life: life, isServed: true)
            return certificate
        }
        var agenda = Agenda()
        for index in certificates.indices { agenda.add(index, at: 1) }
        let (begin, end) = (Self.warmUp, Self.warmUp + seconds)
        var requests: [Double] = []
        while let (now, index) = agenda.next(), now < end + Self.day {
            switch certificates[index].machine.nextAction(at: now) {
            case .wait(let time): agenda.add(index, at: time)
            case .renew, .enroll:
                requests.append(now - end)
                if (begin..<end).contains(now) {
                    certificates[index].machine.requestFailed(
                        .unreachable, random: .random(in: 0..<1, using: &random), at: now)
                } else {
                    certificates[index].take(notBefore: now, life: life, isServed: false)
                    if index.isMultiple(of: 2) {
                        // As the driver tells the roles of a new identity.
                        certificates[index + 1].machine.credentialsArrived()
                        agenda.add(index + 1, at: now)
                    }
                }
                agenda.add(index, at: now)
            case .waitForCredentials, .bootstrap, .recover: break
            }
        }
        return FleetOutage(length: seconds, requests: requests.sorted())
    }
}

/// One certificate of one node.
private struct SimulatedCertificate {
    var machine: RenewalStateMachine
    private let node: String
    private var serial: UInt64

    init(_ subject: RenewalStateMachine.Subject, node: Int, serial: UInt64) {
        machine = RenewalStateMachine(subject)
        if subject == .role { machine.credentialsArrived() }
        (self.node, self.serial) = ("db-\(node)", serial)
    }

    /// `isServed`: since then already.
    mutating func take(notBefore: Double, life: Double, isServed: Bool) {
        serial &+= 1
        let jitter = RenewalJitter.fraction(node: node, serial: String(serial, radix: 16, uppercase: true))
        if !isServed { machine.certificateIssued(at: notBefore) }
        machine.certificateTaken(
            Validity(notBefore: notBefore, notAfter: notBefore + life), jitter: jitter, random: 0, isNew: true,
            at: notBefore)
    }
}

/// Whose turn is when; the last time that was said of somebody counts.
private struct Agenda {
    private var times: [Int: Double] = [:]
    private var seconds: [Int: [Int]] = [:]
    private var second = 0
    private var due: [(time: Double, index: Int)] = []

    mutating func add(_ index: Int, at time: Double) {
        times[index] = time
        if Int(time) <= second {
            let place = due.firstIndex { $0.time <= time } ?? due.count
            due.insert((time, index), at: place)
        } else {
            seconds[Int(time), default: []].append(index)
        }
    }

    /// In the order of time; nil when nobody waits any more.
    mutating func next() -> (Double, Int)? {
        while true {
            while let first = due.popLast() {
                guard times[first.index] == first.time else { continue }
                times[first.index] = nil
                return (first.time, first.index)
            }
            guard !times.isEmpty else { return nil }
            second += 1
            let indices = Set(seconds.removeValue(forKey: second) ?? [])
            due = indices.compactMap { index in
                guard let time = times[index], Int(time) == second else { return nil }
                return (time: time, index: index)
            }
            due.sort { ($0.time, $0.index) > ($1.time, $1.index) }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
