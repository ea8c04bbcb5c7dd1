import Testing

@testable import Certificates

/// What an agent does when its identity has expired: a bundle, if an operator gives one; else its recovery key.
@Suite struct `The ladder of an expired identity` {
    private func expired(keyKnown: Bool = true) -> RenewalStateMachine {
        var machine = RenewalStateMachine(.node)
        machine.recoveryChanged(isPossible: keyKnown)
        machine.certificateTaken(
            Validity(notBefore: 0, notAfter: 100), jitter: 0.5, random: 0.5, isNew: true, at: 1)
        return machine
    }

    @Test func `is not climbed while the identity is good`() {
        var machine = expired()
        #expect(machine.nextAction(at: 10) != .recover)
        #expect(machine.nextAction(at: 99) == .renew)
    }

    @Test func `begins with the recovery key, where the plane knows it`() {
        var machine = expired()
        #expect(machine.nextAction(at: 101) == .recover && machine.phase(at: 101) == .recovering)
        var unknown = expired(keyKnown: false)
        #expect(unknown.nextAction(at: 101) == .waitForCredentials && unknown.phase(at: 101) == .expired)
    }

    @Test func `takes a bundle that comes first, and goes on by the key when that is no good`() {
        var machine = expired()
        machine.credentialsArrived()
        #expect(machine.nextAction(at: 101) == .bootstrap)
        machine.authoritiesConfirmed()
        #expect(machine.nextAction(at: 101) == .enroll)
        machine.requestFailed(.tokenSpent, random: 0, at: 101)
        guard case .wait(let time) = machine.nextAction(at: 101) else {
            Issue.record("each rung once in a round")
            return
        }
        #expect(machine.nextAction(at: time) == .recover)
    }

    @Test(arguments: [
        RenewalStateMachine.Failure.unreachable, .failing, .throttled, .recoveryRefused, .untrusted, .skewed,
    ])
    func `is climbed again after a pause that grows, never faster`(failure: RenewalStateMachine.Failure) {
        var machine = expired()
        var now = 101.0
        var last = 0.0
        for _ in 0..<8 {
            #expect(machine.nextAction(at: now) == .recover)
            machine.requestFailed(failure, random: 0, at: now)
            guard case .wait(let time) = machine.nextAction(at: now) else {
                Issue.record("no pause after \(failure)")
                return
            }
            #expect(time - now >= last && time - now <= failure.limit)
            last = time - now
            now = time
        }
    }

    @Test func `ends where the plane locks the node out, but for a look each hour`() {
        var machine = expired()
        #expect(machine.nextAction(at: 101) == .recover)
        machine.requestFailed(.locked, random: 0, at: 101)
        #expect(machine.phase(at: 102) == .locked)
        #expect(machine.nextAction(at: 102) == .wait(until: 3701))
        #expect(machine.nextAction(at: 3701) == .recover)
        machine.requestFailed(.locked, random: 0.5, at: 3701)
        machine.credentialsArrived()
        #expect(machine.nextAction(at: 3702) == .bootstrap, "a bundle is not kept waiting")
    }

    @Test func `has no second rung at a plane that knows none`() {
        var machine = expired()
        #expect(machine.nextAction(at: 101) == .recover)
        machine.requestFailed(.recoveryUnknown, random: 0, at: 101)
        #expect(machine.nextAction(at: 10_000) == .waitForCredentials)
    }

    @Test func `is behind once a certificate has come`() {
        var machine = expired()
        machine.requestFailed(.locked, random: 0, at: 101)
        machine.certificateTaken(
            Validity(notBefore: 3700, notAfter: 4000), jitter: 0.5, random: 0.5, isNew: true, at: 3701)
        #expect(machine.phase(at: 3702) == .active)
    }
}
