import Testing

@testable import Certificates

@Suite struct `The renewal of a certificate` {
    private let month = Validity(notBefore: 0, notAfter: 30 * 86_400)

    private func active(_ subject: RenewalStateMachine.Subject = .node, _ validity: Validity, jitter: Double = 0)
        -> RenewalStateMachine
    {
        var machine = RenewalStateMachine(subject)
        if subject == .role { machine.credentialsArrived() }
        machine.certificateTaken(validity, jitter: jitter, random: 0, isNew: true, at: validity.notBefore)
        return machine
    }

    @Test func `of a node begins with a bundle, then the pin, and only then the token`() {
        var machine = RenewalStateMachine(.node)
        #expect(machine.nextAction(at: 0) == .waitForCredentials)
        #expect(machine.phase(at: 0) == .unenrolled)
        machine.credentialsArrived()
        #expect(machine.nextAction(at: 0) == .bootstrap)
        #expect(machine.phase(at: 0) == .bootstrapping)
        machine.authoritiesConfirmed()
        #expect(machine.nextAction(at: 0) == .enroll)
        #expect(machine.phase(at: 0) == .enrolling)
    }

    @Test func `of a role waits for the node identity, and needs no pin`() {
        var machine = RenewalStateMachine(.role)
        #expect(machine.nextAction(at: 0) == .waitForCredentials)
        machine.credentialsArrived()
        #expect(machine.nextAction(at: 0) == .enroll)
        machine.credentialsLost()
        #expect(machine.nextAction(at: 0) == .waitForCredentials)
    }

    @Test(arguments: [0.0, 0.25, 0.5, 0.999])
    func `is due at two thirds of its life, less its own share of a tenth`(jitter: Double) {
        var machine = active(.node, month, jitter: jitter)
        let due = 20 * 86_400 - jitter * 3 * 86_400
        #expect(machine.nextAction(at: 0) == .wait(until: due))
        #expect(machine.phase(at: 0) == .active)
        #expect(machine.nextAction(at: due - 1) == .wait(until: due))
        #expect(machine.nextAction(at: due) == .renew)
        #expect(machine.phase(at: due) == .renewing)
    }

    @Test func `comes earlier where the plane wants it so, and never later`() {
        var machine = active(.role, month)
        machine.renewalOrdered(at: 86_400)
        #expect(machine.nextRenewal(at: 0) == 86_400 && machine.renewalCause(at: 0) == .order)
        #expect(machine.nextAction(at: 0) == .wait(until: 86_400))
        #expect(machine.nextAction(at: 86_400) == .renew && machine.phase(at: 86_400) == .renewing)
        machine.requestFailed(.unreachable, random: 0.5, at: 86_400)
        #expect(machine.renewalCause(at: 86_400) == .retry)
        machine.renewalOrdered(at: nil)
        #expect(machine.nextAction(at: 90_000) == .wait(until: 20 * 86_400), "withdrawn")
        machine.renewalOrdered(at: 25 * 86_400)
        #expect(machine.nextAction(at: 90_000) == .wait(until: 20 * 86_400), "it is due before")
        machine.renewalOrdered(at: 0)
        let next = Validity(notBefore: 90_000, notAfter: 90_000 + 30 * 86_400)
        machine.certificateTaken(next, jitter: 0, random: 0, isNew: true, at: 90_000)
        #expect(machine.renewalCause(at: 90_000) == .age, "what it was about is replaced")
    }

    @Test func `has a time and a cause that can be told`() {
        func tells(
            _ machine: RenewalStateMachine, _ time: Double?, _ cause: RenewalStateMachine.Cause?, at now: Double = 0
        ) -> Bool { machine.nextRenewal(at: now) == time && machine.renewalCause(at: now) == cause }
        #expect(tells(RenewalStateMachine(.node), nil, nil))
        var machine = active(.role, month)
        #expect(tells(machine, 20 * 86_400, .age))
        machine.requestFailed(.unreachable, random: 0.5, at: 20 * 86_400)
        #expect(tells(machine, 20 * 86_400 + 3.75, .retry))
        machine.renewalDemanded()
        #expect(tells(machine, nil, .demand), "at once")
        machine.requestFailed(.denied, random: 0.5, at: 100)
        #expect(tells(machine, 107.5, .retry), "after two failures")
        machine.requestDeferred(by: 1000, random: 0, at: 100)
        #expect(tells(machine, 1100, .pending))
        machine.certificateTaken(month, jitter: 0, random: 0, isNew: true, at: 0)
        #expect(tells(machine, 20 * 86_400, .age))
        for _ in 0..<3 { machine.certificateIssued(at: 200) }
        #expect(tells(machine, 20 * 86_400, .age, at: 200), "by then they count no more")
        machine.renewalDemanded()
        #expect(tells(machine, 3800, .limit, at: 200) && machine.nextAction(at: 200) == .wait(until: 3800))
        machine.requestFailed(.unusableCertificate, random: 0, at: 200)
        #expect(tells(machine, 3800, .limit, at: 200), "a pause that is over before")
        machine.renewalDemanded(byOperator: true)
        #expect(tells(machine, nil, .demand, at: 200))
    }

    @Test func `that failed is tried again after pauses that double up to a quarter of an hour, with jitter`() {
        for random in [0.0, 0.5, 0.75] {
            var machine = RenewalStateMachine(.role)
            machine.credentialsArrived()
            for ceiling in [5.0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900] {
                machine.requestFailed(.unreachable, random: random, at: 0)
                #expect(machine.nextAction(at: 0) == .wait(until: ceiling * (0.5 + random / 2)))
            }
        }
    }

    @Test(arguments: [
        (RenewalStateMachine.Failure.unreachable, 900.0), (.failing, 900), (.throttled, 900), (.busy, 900),
        (.local, 900), (.skewed, 900), (.untrusted, 3600), (.pinMismatch, 3600), (.identityRefused, 3600),
        (.unauthorized, 3600), (.denied, 3600), (.tokenDenied, 3600), (.tokenRefused, 3600),
        (.unusableAnswer, 3600), (.unusableCertificate, 3600), (.request, 21_600), (.configuration, 21_600),
        (.redirected, 21_600), (.unmet, 21_600),
    ])
    func `knows how long each kind of failure may pause`(failure: RenewalStateMachine.Failure, limit: Double) {
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        for count in 0..<40 {
            // A token that was refused too often is not sent at all.
            if failure.isAboutToken, count.isMultiple(of: 4) { machine.credentialsArrived(refusals: 0) }
            machine.requestFailed(failure, random: 0.5, at: 0)
        }
        if failure.isAboutToken { return #expect(machine.nextAction(at: 0) == .wait(until: 0.75 * 40)) }
        #expect(machine.nextAction(at: 0) == .wait(until: limit * 0.75))
    }

    @Test(arguments: [RenewalStateMachine.Failure.unreachable, .failing, .throttled, .busy])
    func `is put off by hours in an outage while nothing presses, and not otherwise`(
        failure: RenewalStateMachine.Failure
    ) {
        func pauses(
            _ validity: Validity, at now: Double, retryAfter: Double? = nil, isDemanded: Bool = false
        ) -> [Double] {
            var machine = active(.role, validity)
            if isDemanded { machine.renewalDemanded() }
            return (0..<4).map { _ in
                machine.requestFailed(failure, retryAfter: retryAfter, random: 0.5, at: now)
                return (machine.nextRenewal(at: now) ?? 0) - now
            }
        }
        let due = 20 * 86_400.0
        let usual = [3.75, 7.5, 15, 30]
        #expect(pauses(month, at: due) == [3.75, 7.5, 5400, 5400])
        let hour = Validity(notBefore: 0, notAfter: 3600)
        #expect(pauses(hour, at: 2400) == [3.75, 7.5, 225, 225], "a quarter of what is left")
        #expect(pauses(month, at: month.warningTime) == usual, "it is told to expire soon")
        #expect(pauses(month, at: due, isDemanded: true) == usual, "somebody waits for it")
        #expect(pauses(month, at: due, retryAfter: 1) == usual, "the plane knows best")
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        for _ in 0..<4 { machine.requestFailed(failure, random: 0.5, at: 0) }
        #expect(machine.nextAction(at: 0) == .wait(until: 30), "there is none")
    }

    @Test func `is tried more often the nearer the end is`() {
        var machine = active(.node, month)
        for _ in 0..<40 { machine.requestFailed(.unreachable, random: 0.99, at: month.notAfter - 4000) }
        #expect(machine.nextAction(at: month.notAfter - 4000) == .wait(until: month.notAfter - 4000 + 0.995 * 200))
        machine.requestFailed(.unreachable, random: 0.99, at: month.notAfter - 60)
        #expect(machine.nextAction(at: month.notAfter - 60) == .wait(until: month.notAfter - 60 + 0.995 * 30))
    }

    @Test func `waits as long as the server asks, and a little longer, within bounds`() {
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        machine.requestFailed(.throttled, retryAfter: 100, random: 0.5, at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 112.5))
        machine.renewalDemanded()
        machine.requestFailed(.throttled, retryAfter: 1e9, random: 0, at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 172_800))
        machine.renewalDemanded()
        machine.requestDeferred(by: 10, random: 0, at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 10))
    }

    @Test func `forgets its failures when a certificate came`() {
        var machine = active(.role, month)
        for _ in 0..<10 { machine.requestFailed(.denied, random: 0.9, at: 20 * 86_400) }
        #expect(machine.phase(at: 20 * 86_400) == .rejected)
        let next = Validity(notBefore: 21 * 86_400, notAfter: 51 * 86_400)
        machine.certificateTaken(next, jitter: 0, random: 0, isNew: true, at: 21 * 86_400)
        #expect(machine.nextAction(at: 21 * 86_400) == .wait(until: 41 * 86_400))
        #expect(machine.phase(at: 21 * 86_400) == .active)
        machine.requestFailed(.unreachable, random: 0.5, at: 41 * 86_400)
        #expect(machine.nextAction(at: 41 * 86_400) == .wait(until: 41 * 86_400 + 3.75))
    }

    @Test func `never loops on a certificate that is old on arrival`() {
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        machine.certificateTaken(
            Validity(notBefore: -1_000_000, notAfter: 100), jitter: 0, random: 0, isNew: true, at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 10))
        machine.certificateTaken(
            Validity(notBefore: -1_000_000, notAfter: 2), jitter: 0, random: 0, isNew: true, at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 1))
    }

    @Test func `that fell due while the agent was down is spread over five minutes, but not near its end`() {
        var machine = RenewalStateMachine(.node)
        machine.certificateTaken(month, jitter: 0, random: 0.5, isNew: false, at: 25 * 86_400)
        #expect(machine.nextAction(at: 25 * 86_400) == .wait(until: 25 * 86_400 + 150))
        machine.certificateTaken(month, jitter: 0, random: 0.5, isNew: false, at: 29 * 86_400)
        #expect(machine.nextAction(at: 29 * 86_400) == .renew)
    }

    @Test func `of an expired node identity needs a new bundle`() {
        var machine = active(.node, month)
        #expect(machine.nextAction(at: month.notAfter) == .waitForCredentials)
        #expect(machine.phase(at: month.notAfter) == .expired)
        machine.credentialsArrived()
        #expect(machine.nextAction(at: month.notAfter) == .bootstrap)
    }

    @Test func `of an expired role goes on by itself`() {
        var machine = active(.role, month)
        #expect(machine.nextAction(at: month.notAfter + 1) == .enroll)
    }

    @Test func `is not disturbed by a bundle while the identity is good, and takes it when the plane refuses it`() {
        var machine = active(.node, month)
        machine.credentialsArrived()
        #expect(machine.nextAction(at: 0) == .wait(until: 20 * 86_400))
        machine.requestFailed(.identityRefused, random: 0.5, at: 20 * 86_400)
        #expect(machine.nextAction(at: 20 * 86_400 + 10) == .bootstrap)
        machine.credentialsLost()
        #expect(machine.nextAction(at: 20 * 86_400 + 10) == .renew, "without a bundle the old identity is all there is")
    }

    @Test func `sends a refused token five times and then no more, a spent one not once more`() {
        for (failure, sends) in [(RenewalStateMachine.Failure.tokenRefused, 5), (.tokenDenied, 5), (.tokenSpent, 1)] {
            var machine = RenewalStateMachine(.node)
            machine.credentialsArrived()
            machine.authoritiesConfirmed()
            var count = 0
            var now = 0.0
            while machine.nextAction(at: now) == .enroll, count < 100 {
                count += 1
                machine.requestFailed(failure, random: 0.5, at: now)
                now += 100_000
            }
            #expect(count == sends)
            #expect(machine.nextAction(at: now) == .waitForCredentials)
            #expect(machine.phase(at: now) == .rejected)
        }
    }

    @Test func `can be demanded at any time, and a demand cuts a pause short`() {
        var machine = active(.node, month)
        machine.renewalDemanded()
        #expect(machine.nextAction(at: 10) == .renew)
        machine.requestFailed(.unreachable, random: 0.8, at: 10)
        #expect(machine.nextAction(at: 10) == .wait(until: 14.5))
        machine.renewalDemanded()
        #expect(machine.nextAction(at: 10) == .renew)
    }

    @Test func `is not lost when the clock is set back or forward`() {
        var machine = active(.role, month)
        machine.requestFailed(.unreachable, random: 0.9, at: 20 * 86_400 + 1e8)
        #expect(machine.nextAction(at: 20 * 86_400) == .renew, "a pause of the false future does not hold")
        machine = active(.role, month)
        #expect(machine.nextAction(at: 21 * 86_400) == .renew, "a jump over the due time is seen at once")
        #expect(machine.nextAction(at: 1) == .wait(until: 20 * 86_400))
    }
}
