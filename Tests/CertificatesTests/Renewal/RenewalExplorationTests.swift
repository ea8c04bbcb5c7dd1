import Testing

@testable import Certificates

/// Walks every order of events to a depth, and checks after each what must always hold.
@Suite struct `Whatever happens in whatever order` {
    private enum Event: CaseIterable {
        case arrive, lose, confirm, take, takeOld, demand, deferAnswer, unreachable, refused, spent, untrusted, denied
        case pass, passLong, issue, backTenYears, onTenYears
    }

    private static let decade = 10 * 365.25 * 86_400

    private struct World {
        var machine: RenewalStateMachine
        var now = 1000.0
        var notAfter: Double?
        // What a node may do by the rules, tracked apart from the machine.
        var hasBundle = false
        var isConfirmed = false
    }

    private func apply(_ event: Event, to world: inout World) {
        let now = world.now
        switch event {
        case .arrive:
            world.machine.credentialsArrived()
            (world.hasBundle, world.isConfirmed) = (true, false)
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
        case .bootstrap where subject == .role: return "a role joins nothing"
        case .bootstrap where !world.hasBundle: return "there is no bundle"
        case .renew where !isValid: return "there is nothing to renew"
        case .wait(let until) where until <= world.now: return "a wait that is over at once"
        case .wait(let until) where !isValid && until > world.now + 3600: return "a pause that is too long"
        case .wait(let until) where isValid && until > world.notAfter ?? 0: return "it sleeps through its end"
        case .enroll, .renew:
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
