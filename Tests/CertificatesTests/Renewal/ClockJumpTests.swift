import Testing

@testable import Certificates

/// The wall clock is the real time and an offset; the job looks at it at least every half a minute.
@Suite struct `A renewal under a clock that jumps` {
    private static let hour = 3600.0
    private static let year = 365.25 * 86_400
    private static let offsets: [Double] = [-10 * year, -3 * 86_400, -7200, 7200, 3 * 86_400, 10 * year]

    /// What an attempt comes to while the clock is wrong.
    private enum Answer: CaseIterable {
        /// Nobody's certificate counts by such a clock.
        case skewed
        case unreachable
        /// The plane issues, by its own clock, what does not count by ours.
        case unusable
        /// The plane's clock is ours: the machine slept.
        case issued
    }

    private struct Life {
        var machine: RenewalStateMachine
        var validity: Validity
        var requests: [Double] = []
        /// In real time.
        var issuances: [Double] = []
    }

    private func life(_ subject: RenewalStateMachine.Subject, of seconds: Double) -> Life {
        var machine = RenewalStateMachine(subject)
        machine.credentialsArrived()
        machine.authoritiesConfirmed()
        let validity = Validity(notBefore: 0, notAfter: seconds)
        machine.certificateTaken(validity, jitter: 0.5, random: 0.5, isNew: true, at: 0)
        return Life(machine: machine, validity: validity)
    }

    /// Until when there is nothing to be done, in real time.
    private func step(
        _ life: inout Life, real: Double, offset: Double, _ answer: Answer, seconds: Double
    ) -> Double {
        let now = real + offset
        switch life.machine.nextAction(at: now) {
        case .wait(let time): return max(real + 30, time - offset)
        case .waitForCredentials: return .infinity
        case .bootstrap, .enroll, .renew, .recover: life.requests.append(real)
        }
        let random = real.truncatingRemainder(dividingBy: 97) / 97
        switch offset == 0 ? .issued : answer {
        case .skewed: life.machine.requestFailed(.skewed, random: random, at: now)
        case .unreachable: life.machine.requestFailed(.unreachable, random: random, at: now)
        case .unusable:
            life.machine.certificateIssued(at: now)
            life.issuances.append(real)
            life.machine.requestFailed(.unusableCertificate, random: random, at: now)
        case .issued:
            life.machine.certificateIssued(at: now)
            life.issuances.append(real)
            life.validity = Validity(notBefore: now, notAfter: now + seconds)
            life.machine.certificateTaken(life.validity, jitter: 0.5, random: 0.5, isNew: true, at: now)
        }
        return real + 1
    }

    @Test(arguments: Self.offsets)
    func `asks in no loop, and is well when the clock is right again`(offset: Double) {
        let seconds = 6 * 24 * Self.hour
        for subject: RenewalStateMachine.Subject in [.node, .role] {
            for answer in Answer.allCases where answer != .issued {
                for begin in stride(from: 0, to: seconds - 30 * Self.hour, by: 5 * Self.hour) {
                    check(subject, answer, offset, from: begin, seconds)
                }
            }
        }
    }

    /// The clock is wrong for six hours; a day later all must be well.
    private func check(
        _ subject: RenewalStateMachine.Subject, _ answer: Answer, _ offset: Double, from begin: Double,
        _ seconds: Double
    ) {
        var life = life(subject, of: seconds)
        let end = begin + 6 * Self.hour
        let last = end + 30 * Self.hour
        var real = 0.0
        while real < last {
            let isWrong = (begin..<end).contains(real)
            let next = step(&life, real: real, offset: isWrong ? offset : 0, answer, seconds: seconds)
            real = min(next, [begin, end, last].first { $0 > real } ?? last)
        }
        let wrong = life.requests.filter { (begin..<end).contains($0) }
        let phase = life.machine.phase(at: last)
        // The nearer the end is, by such a clock, the more often: every two and a half minutes at most.
        #expect(wrong.count <= 150, "\(subject) \(answer) from \(begin)")
        #expect(life.issuances.filter { (begin..<end).contains($0) }.count <= 10, "\(subject) \(answer) from \(begin)")
        #expect(life.validity.notAfter > last, "\(subject) \(answer) from \(begin)")
        #expect(phase == .active || phase == .renewing, "\(subject) \(answer) from \(begin): \(phase)")
    }

    @Test func `asks once after a sleep in which its certificate has ended, or was due`() {
        let seconds = 24 * Self.hour
        for sleep in [20 * Self.hour, 3 * 24 * Self.hour, Self.year] {
            var life = life(.role, of: seconds)
            var real = 0.0
            while real < 10 * Self.hour {
                let hasSlept = real >= Self.hour
                let next = step(&life, real: real, offset: hasSlept ? sleep : 0, .issued, seconds: seconds)
                real = hasSlept ? next : min(next, Self.hour)
            }
            #expect(life.requests == [Self.hour] && life.issuances.count == 1, "\(sleep): \(life.requests)")
        }
    }
}
