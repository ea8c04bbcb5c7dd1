import Testing

@testable import Certificates

@Suite struct `A request that the server defers` {
    private let month = Validity(notBefore: 0, notAfter: 30 * 86_400)

    private func deferred(_ subject: RenewalStateMachine.Subject = .role) -> RenewalStateMachine {
        var machine = RenewalStateMachine(subject)
        machine.credentialsArrived()
        machine.requestDeferred(by: 600, random: 0, at: 1000)
        return machine
    }

    @Test func `is pending until its time, for however long`() {
        var machine = deferred()
        for round in 1...100 {
            let time = 1000 + 600 * Double(round)
            #expect(machine.phase(at: time - 1) == .pending)
            #expect(machine.nextAction(at: time - 1) == .wait(until: time))
            #expect(machine.nextAction(at: time) == .enroll)
            #expect(machine.requestDeferred(by: 600, random: 0, at: time) == time + 600)
        }
        machine.requestFailed(.unreachable, random: 0, at: 70_000)
        #expect(machine.phase(at: 70_000) != .pending)
        #expect(machine.nextAction(at: 70_000) == .wait(until: 70_002.5), "it was no failure that would count")
    }

    @Test func `of a role stays so when the node identity changes; a new bundle is another request`() {
        var role = deferred()
        role.credentialsLost()
        role.credentialsArrived()
        #expect(role.nextAction(at: 1001) == .wait(until: 1600))
        var node = deferred(.node)
        node.credentialsArrived()
        #expect(node.nextAction(at: 1001) == .bootstrap)
    }

    @Test func `can be sent again at once by an operator, and by nobody else`() {
        var machine = deferred()
        machine.renewalDemanded()
        #expect(machine.nextAction(at: 1001) == .wait(until: 1600))
        machine.renewalDemanded(byOperator: true)
        #expect(machine.nextAction(at: 1001) == .enroll)
    }

    @Test func `is remembered over a restart, within bounds`() {
        for (until, isKept) in [(2000.0, true), (999.0, false), (1000 + 172_800 * 1.25, true), (1e9, false)] {
            var machine = RenewalStateMachine(.role)
            machine.credentialsArrived()
            machine.deferralRestored(until: until, at: 1000)
            #expect(machine.nextAction(at: 1000) == (isKept ? .wait(until: until) : .enroll))
        }
    }

    @Test func `is made anew once when the request itself is refused`() {
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        var made: [Bool] = []
        for _ in 0..<4 {
            machine.requestFailed(.request, random: 0, at: 0)
            made.append(machine.wantsNewRequest)
        }
        #expect(made == [true, false, false, false])
        machine.certificateTaken(month, jitter: 0, random: 0, isNew: true, at: 0)
        machine.requestFailed(.request, random: 0, at: 0)
        #expect(machine.wantsNewRequest)
    }
}

@Suite struct `The number of certificates` {
    private let month = 30 * 86_400.0

    @Test func `is three in an hour and ten in a day`() {
        let limits = IssuanceLimits.standard
        #expect(limits.end(after: [], life: nil, at: 0) == nil)
        #expect(limits.end(after: [0, 10], life: nil, at: 20) == nil)
        #expect(limits.end(after: [0, 10, 20], life: month, at: 30) == 3600)
        #expect(limits.end(after: [0, 10, 20], life: month, at: 3599) == 3600)
        #expect(limits.end(after: [0, 10, 20], life: month, at: 3601) == nil)
        let hours = (0..<10).map { Double($0) * 3601 }
        #expect(limits.end(after: hours, life: month, at: 40_000) == 86_400)
        #expect(limits.end(after: Array(hours.dropFirst()), life: month, at: 40_000) == nil)
    }

    @Test func `lets short lives have what they need twice over`() {
        let limits = IssuanceLimits.standard
        for life in [120, 900, 3600, 7200, 86_400, month] {
            // Renewed at the earliest moment that the jitter leaves, for three days.
            var issued: [Double] = []
            var now = 0.0
            while now < 3 * 86_400 {
                #expect(limits.end(after: issued, life: life, at: now) == nil, "a life of \(life) s, after \(now) s")
                issued = limits.kept(issued + [now], at: now)
                #expect(issued.count <= IssuanceLimits.longest)
                now += life * (2.0 / 3 - 0.1)
            }
        }
        #expect(limits.end(after: [0, 0, 0], life: -5, at: 1) == 3600, "a life that is none is no excuse")
    }

    @Test func `holds back what the machine would ask for, an operator's wish excepted, once`() {
        var machine = RenewalStateMachine(.role)
        machine.credentialsArrived()
        for now in [0.0, 100, 200] {
            #expect(machine.nextAction(at: now) == .enroll)
            machine.certificateIssued(at: now)
            machine.requestFailed(.unusableCertificate, random: 0, at: now)
        }
        #expect(machine.nextAction(at: 300) == .wait(until: 3600))
        #expect(machine.phase(at: 300) == .limited && machine.limitedUntil(at: 300) == 3600)
        machine.renewalDemanded()
        #expect(machine.nextAction(at: 300) == .wait(until: 3600))
        machine.renewalDemanded(byOperator: true)
        #expect(machine.nextAction(at: 300) == .enroll)
        machine.certificateIssued(at: 300)
        machine.requestFailed(.unusableCertificate, random: 0, at: 300)
        #expect(machine.nextAction(at: 400) == .wait(until: 3700), "the first of three is the second now")
        var again = RenewalStateMachine(.role)
        again.issuancesRestored(machine.issuances, at: 400)
        again.credentialsArrived()
        #expect(again.nextAction(at: 400) == .wait(until: 3700), "a restart forgets nothing")
    }

    @Test func `is not counted under another clock`() {
        let limits = IssuanceLimits.standard
        let years = 10 * 365 * 86_400.0
        #expect(limits.end(after: [years, years, years], life: month, at: 1000) == nil)
        #expect(limits.end(after: [0, 1, 2], life: month, at: years) == nil)
        #expect(limits.kept([0, 1, years], at: 10) == [0, 1])
    }

    @Test func `of one that is old on arrival is an alarm`() {
        var machine = RenewalStateMachine(.role)
        machine.certificateTaken(
            Validity(notBefore: -90, notAfter: 10), jitter: 0, random: 0, isNew: true, at: 0)
        #expect(machine.isOldOnArrival)
        machine.certificateTaken(Validity(notBefore: 0, notAfter: 90), jitter: 0, random: 0, isNew: true, at: 1)
        #expect(!machine.isOldOnArrival)
    }
}

@Suite struct `A plane that is no longer trusted` {
    @Test func `is given ten minutes, then its pinned root is looked for again`() {
        var machine = TrustStateMachine()
        #expect(machine.nextLook(at: 0) == nil)
        #expect(machine.planeUntrusted(at: 100) == .wait(until: 700))
        #expect(machine.nextLook(at: 200) == 700)
        #expect(machine.planeUntrusted(at: 699) == .wait(until: 700))
        #expect(machine.planeUntrusted(at: 700) == .rebootstrap)
        #expect(machine.planeUntrusted(at: 5000) == .rebootstrap, "until it helps")
        #expect(machine.nextLook(at: 5000) == 5600)
        machine.planeTrusted()
        #expect(machine.nextLook(at: 5000) == nil)
        #expect(machine.planeUntrusted(at: 6000) == .wait(until: 6600))
    }

    @Test(arguments: [-10.0, -1, 1, 10])
    func `is neither forgotten nor hurried for ever when the clock jumps`(years: Double) {
        var machine = TrustStateMachine()
        let jumped = 1e9 + years * 365 * 86_400
        #expect(machine.planeUntrusted(at: 1e9) == .wait(until: 1e9 + 600))
        let look = machine.nextLook(at: jumped) ?? 0
        #expect(look > jumped && look <= jumped + 600)
        let action = machine.planeUntrusted(at: jumped)
        #expect(action == (years > 0 ? .rebootstrap : .wait(until: jumped + 600)))
    }
}
