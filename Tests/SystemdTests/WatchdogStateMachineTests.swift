import Testing

@testable import Systemd

@Suite struct `The watchdog` {
    @Test func `pings while every lane answers`() {
        let machine = WatchdogStateMachine(lagLimit: 5)
        #expect(machine.heartbeatsRead([("data-0", 0), ("handshake-0", 4.9)]) == .ping)
    }

    @Test func `withholds its ping and names who is stuck`() {
        let machine = WatchdogStateMachine(lagLimit: 5)
        let action = machine.heartbeatsRead([("data-0", 0), ("data-1", 5.1), ("audit", 60)])
        #expect(action == .withhold(stuck: ["data-1", "audit"]))
    }
}
