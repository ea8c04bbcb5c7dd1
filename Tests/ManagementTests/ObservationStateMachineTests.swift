import Testing

@testable import Management

@Suite struct `The node's reports` {
    private func started() -> ObservationStateMachine { ObservationStateMachine() }

    @Test func `begin at once`() { #expect(started().pause(at: 0) == 0) }

    @Test func `come again after a minute, scattered by a fifth`() {
        for (random, pause) in [(0.0, 48.0), (0.5, 60.0), (0.999, 72.0)] {
            var machine = started()
            machine.began(at: 10)
            machine.taken(at: 11, random: random)
            #expect(abs(machine.pause(at: 11) - pause) < 0.1)
        }
    }

    @Test func `come at once with a change, and at most once a second`() {
        var machine = started()
        machine.began(at: 10)
        machine.taken(at: 10.25, random: 0.5)
        machine.changed(at: 10.5)
        #expect(machine.pause(at: 10.5) == 0.5)
        machine.changed(at: 10.75)
        #expect(machine.pause(at: 11) == 0)
        machine.began(at: 11)
        machine.taken(at: 11, random: 0.5)
        #expect(machine.pause(at: 11) == 60)
    }

    @Test func `tell of a change that came while one was on its way`() {
        var machine = started()
        machine.began(at: 10)
        machine.changed(at: 10.1)
        machine.taken(at: 12, random: 0.5)
        #expect(machine.pause(at: 12) == 0)
    }

    @Test func `that are not taken are repeated after pauses that double up to a minute`() {
        var machine = started()
        var now = 0.0
        var pauses: [Double] = []
        for _ in 0..<8 {
            machine.began(at: now)
            machine.failed(at: now, retryAfter: nil, random: 0.5)
            pauses.append(machine.pause(at: now))
            now += pauses.last ?? 0
        }
        #expect(pauses == [2, 4, 8, 16, 32, 60, 60, 60])
        #expect(machine.failures == 8)
        machine.began(at: now)
        machine.taken(at: now, random: 0.5)
        #expect(machine.failures == 0)
    }

    @Test func `wait as long as the plane says, an hour at most, whatever changes`() {
        for (asked, pause) in [(300.0, 300.0), (1.0, 2.0), (1e9, 3600.0), (-5.0, 2.0)] {
            var machine = started()
            machine.began(at: 0)
            machine.failed(at: 0, retryAfter: asked, random: 0.5)
            machine.changed(at: 0)
            #expect(machine.pause(at: 0) == pause)
        }
    }

    @Test func `are tried at once under another identity`() {
        var machine = started()
        machine.began(at: 0)
        machine.failed(at: 5, retryAfter: 300, random: 0.5)
        machine.credentialsChanged(at: 6)
        #expect(machine.pause(at: 6) == 0)
        machine.began(at: 6)
        machine.failed(at: 6, retryAfter: nil, random: 0.5)
        #expect(machine.pause(at: 6) == 4)
    }

    /// Every sequence of five events, with time going on between them.
    @Test func `are never closer than a second, never further apart than 72 while they are taken`() {
        enum Event: CaseIterable { case changed, credentials, sent, refused }
        func explore(_ machine: ObservationStateMachine, _ now: Double, _ lastBegan: Double?, _ depth: Int) {
            let pause = machine.pause(at: now)
            #expect(pause >= 0)
            if let lastBegan { #expect(now + pause - lastBegan >= 1 - 1e-9) }
            if machine.failures == 0 { #expect(pause <= 72) } else { #expect(pause <= 72 + 3600) }
            if depth == 0 { return }
            for event in Event.allCases {
                var next = machine
                switch event {
                case .changed: next.changed(at: now)
                case .credentials: next.credentialsChanged(at: now)
                case .sent, .refused:
                    let begins = now + pause
                    next.began(at: begins)
                    if event == .sent {
                        next.taken(at: begins + 0.1, random: 0.9)
                    } else {
                        next.failed(at: begins + 0.1, retryAfter: nil, random: 0.1)
                    }
                    explore(next, begins + 0.1, begins, depth - 1)
                    continue
                }
                explore(next, now + 0.3, lastBegan, depth - 1)
            }
        }
        explore(started(), 0, nil, 6)
    }
}
