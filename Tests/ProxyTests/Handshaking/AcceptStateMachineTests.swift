import Testing

@testable import Proxy

@Suite struct `Accepting` {
    typealias Machine = AcceptStateMachine

    @Test func `takes a bounded number of clients, then lets others have their turn`() {
        var machine = Machine()
        var action = machine.becameReady()
        var taken = 0
        while action == .accept {
            taken += 1
            action = taken.isMultiple(of: 3) ? machine.failed() : machine.accepted()
        }
        #expect(taken == Machine.turn)
        #expect(action == .rest(.zero))
        #expect(machine.becameReady() == .wait, "it comes back by itself")
        #expect(machine.rested() == .accept)
        #expect(machine.ranDry() == .wait)
        #expect(machine.becameReady() == .accept)
    }

    @Test func `sheds one client and rests, longer each time, when there is no descriptor left`() {
        var machine = Machine()
        var rests: [Duration] = []
        #expect(machine.becameReady() == .accept)
        for _ in 0..<12 {
            #expect(machine.ranOut() == .shed)
            guard case .rest(let time) = machine.shed() else {
                Issue.record("it does not rest")
                return
            }
            rests.append(time)
            #expect(machine.becameReady() == .wait, "readiness does not wake it early")
            #expect(machine.rested() == .accept)
        }
        #expect(rests.first == Machine.shortestRest && rests.last == Machine.longestRest)
        #expect(rests == rests.sorted())
        #expect(machine.accepted() == .accept)
        #expect(machine.ranOut() == .shed)
        #expect(machine.shed() == .rest(Machine.shortestRest), "a client that was taken ends the shortage")
    }

    @Test func `forgets no readiness, whatever the order of events`() {
        var generator = SystemRandomNumberGenerator()
        var machine = Machine()
        var action = machine.becameReady()
        for _ in 0..<10_000 {
            switch action {
            case .accept:
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: action = machine.accepted()
                case 1: action = machine.failed()
                case 2: action = machine.ranDry()
                default: action = machine.ranOut()
                }
            case .shed: action = machine.shed()
            case .rest(let time):
                #expect(time <= Machine.longestRest)
                action = machine.rested()
                #expect(action == .accept)
            case .wait:
                action = machine.becameReady()
                #expect(action == .accept)
            }
        }
    }
}
