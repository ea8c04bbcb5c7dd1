import Testing

@testable import Tokens

@Suite struct `The state machine of a token` {
    @Test func `opens once, and waits while it works`() {
        var machine = TokenStateMachine()
        #expect(!machine.isWorking)
        #expect(machine.nextAction(at: 0) == .open)
        #expect(machine.nextAction(at: 0) == .wait(until: nil), "one at a time")
        machine.opened()
        #expect(machine.isWorking && machine.fault == nil)
        #expect(machine.nextAction(at: 1e9) == .wait(until: nil))
    }

    @Test(arguments: [TokenStateMachine.Fault.unreachable, .silent])
    func `lets one that failed alone, longer each time, until a signature has succeeded`(
        fault: TokenStateMachine.Fault
    ) {
        var machine = TokenStateMachine()
        var now = 0.0
        var pauses: [Double] = []
        for _ in 0..<9 {
            #expect(machine.nextAction(at: now) == .open)
            // That it can be opened proves nothing: it may hang at each signature.
            machine.opened()
            machine.failed(fault, at: now)
            #expect(!machine.isWorking && machine.fault == fault)
            guard case .wait(let time?) = machine.nextAction(at: now) else { return #expect(Bool(false), "no pause") }
            #expect(machine.nextAction(at: time - 0.001) == .wait(until: time))
            pauses.append(time - now)
            now = time
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        #expect(machine.nextAction(at: now) == .open)
        machine.opened()
        machine.performed()
        machine.failed(fault, at: now)
        #expect(machine.nextAction(at: now) == .wait(until: now + 1))
    }

    @Test(arguments: [TokenStateMachine.Fault.pinRefused, .pinLocked])
    func `never tries a PIN again that was refused`(fault: TokenStateMachine.Fault) {
        var machine = TokenStateMachine()
        #expect(machine.nextAction(at: 0) == .open)
        machine.failed(fault, at: 0)
        for now in stride(from: 0.0, to: 1e6, by: 997) {
            #expect(machine.nextAction(at: now) == .wait(until: now + TokenStateMachine.look))
        }
        machine.pinChanged()
        #expect(machine.nextAction(at: 1e6) == .open)
        #expect(machine.nextAction(at: 1e6) == .wait(until: nil))
    }

    /// Every sequence of six events.
    @Test func `tries a refused PIN again only after it has changed, whatever happens`() {
        let count = 6
        for code in 0..<(7 * 7 * 7 * 7 * 7 * 7) {
            var machine = TokenStateMachine()
            var (rest, now, isRefused) = (code, 0.0, false)
            for _ in 0..<count {
                now += 100
                switch rest % 7 {
                case 0: if machine.isWorking { machine.performed() }
                case 1: if !isRefused { machine.opened() }
                case 2: machine.failed(.unreachable, at: now)
                case 3:
                    machine.failed(.pinRefused, at: now)
                    isRefused = true
                case 4:
                    machine.pinChanged()
                    isRefused = false
                default: if isRefused { #expect(machine.nextAction(at: now) != .open, "\(code)") }
                }
                #expect(!(isRefused && machine.isWorking), "\(code)")
                rest /= 7
            }
        }
    }
}
