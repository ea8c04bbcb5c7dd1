import Testing

@testable import Certificates

/// Walks every order of events to a depth, and checks after each what must always hold.
@Suite struct `Whatever happens in whatever order` {
    private enum Event: CaseIterable {
        case arrive, lose, confirm, take, takeOld, demand, deferAnswer, unreachable, refused, spent, untrusted, denied
        case pass, passLong, issue, backTenYears, onTenYears, keyKnown, recoveryRefused, locked, recoveryUnknown
    }

    private static let decade = 10 * 365.25 * 86_400

    private struct World {
        var machine: RenewalStateMachine
        var now = 1000.0
        var notAfter: Double?
        // What a node may do by the rules, tracked apart from the machine.
        var hasBundle = false
        var isConfirmed = false
        var isKeyKnown = false
        var lockedAt: Double?
    }

    private func apply(_ event: Event, to world: inout World) {
        let now = world.now
        switch event {
        case .arrive:
            world.machine.credentialsArrived()
            (world.hasBundle, world.isConfirmed) = (true, false)
            world.lockedAt = nil
        case .lose:
            world.machine.credentialsLost()
            (world.hasBundle, world.isConfirmed) = (false, false)
        case .confirm:
            guard world.hasBundle else { return }
            world.machine.authoritiesConfirmed()
            world.isConfirmed = true
        case .take, .takeOld:
            let validity = Validity(notBefore: now - 10, notAfter: now + 300)
            world.machine.certificateTaken(validity, jitter: 0.5, random: 0.5, isNew: event == .take, at: now)
            world.notAfter = validity.notAfter
            if event == .take { world.lockedAt = nil }
        case .demand: world.machine.renewalDemanded()
        case .deferAnswer: world.machine.requestDeferred(by: 7, random: 0.5, at: now)
        case .unreachable: world.machine.requestFailed(.unreachable, random: 0.5, at: now)
        case .refused: world.machine.requestFailed(.tokenRefused, random: 0.5, at: now)
        case .spent:
            world.machine.requestFailed(.tokenSpent, random: 0.5, at: now)
            (world.hasBundle, world.isConfirmed) = (false, false)
        case .untrusted:
            world.machine.requestFailed(.untrusted, random: 0.5, at: now)
            world.isConfirmed = false
        case .denied: world.machine.requestFailed(.denied, retryAfter: 20, random: 0.5, at: now)
        case .pass: world.now += 11
        case .passLong: world.now += 400
        case .keyKnown:
            world.machine.recoveryChanged(isPossible: true)
            world.isKeyKnown = true
        case .recoveryRefused: world.machine.requestFailed(.recoveryRefused, random: 0.5, at: now)
        case .locked:
            world.machine.requestFailed(.locked, random: 0.5, at: now)
            world.lockedAt = now
        case .recoveryUnknown:
            world.machine.requestFailed(.recoveryUnknown, random: 0.5, at: now)
            world.isKeyKnown = false
        case .issue: world.machine.certificateIssued(at: now)
        case .backTenYears: world.now -= Self.decade
        case .onTenYears: world.now += Self.decade
        }
    }

    private func violation(_ world: World, _ subject: RenewalStateMachine.Subject) -> String? {
        var machine = world.machine
        let action = machine.nextAction(at: world.now)
        let isValid = world.notAfter.map { world.now < $0 } ?? false
        switch action {
        case .enroll where subject == .node && !(world.hasBundle && world.isConfirmed):
            return "the token is used without a confirmed pin"
        case .recover where subject == .role: return "a role recovers nothing"
        case .recover where isValid: return "a good identity needs no recovery"
        case .recover where world.notAfter == nil: return "there was no identity"
        case .recover where !world.isKeyKnown: return "the plane knows no key of this node"
        case .recover where world.hasBundle && world.machine.hasUsableBundle: return "a bundle goes before the key"
        case .bootstrap where subject == .role: return "a role joins nothing"
        case .bootstrap where !world.hasBundle: return "there is no bundle"
        case .renew where !isValid: return "there is nothing to renew"
        case .wait(let until) where until <= world.now: return "a wait that is over at once"
        case .wait(let until) where !isValid && until > world.now + 4500: return "a pause that is too long"
        case .wait(let until) where isValid && until > world.notAfter ?? 0: return "it sleeps through its end"
        case .enroll, .renew, .recover:
            if world.machine.limitedUntil(at: world.now) != nil { return "more certificates than the limit" }
        case .waitForCredentials where isValid: return "a valid certificate is left to expire"
        default: break
        }
        if !isValid, world.notAfter != nil, machine.phase(at: world.now) == .active { return "expired, but active" }
        return nil
    }

    @Test(arguments: [RenewalStateMachine.Subject.node, .role])
    func `the token waits for the pin, no loop spins and no certificate is forgotten`(
        subject: RenewalStateMachine.Subject
    ) {
        var worlds = [([Event](), World(machine: RenewalStateMachine(subject)))]
        var checked = 0
        for _ in 1...4 {
            var next: [([Event], World)] = []
            for (path, world) in worlds {
                for event in Event.allCases {
                    var following = world
                    apply(event, to: &following)
                    checked += 1
                    if let violation = violation(following, subject) {
                        Issue.record("\(path + [event]): \(violation)")
                        return
                    }
                    next.append((path + [event], following))
                }
            }
            worlds = next
        }
        let count = Event.allCases.count
        #expect(checked == count + count * count + count * count * count + count * count * count * count)
    }
}
