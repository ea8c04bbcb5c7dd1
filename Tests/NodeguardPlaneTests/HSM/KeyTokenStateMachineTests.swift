import Testing

@testable import nodeguard_plane

@Suite struct `When the plane's token is used, opened or let alone` {
    private typealias Machine = KeyTokenStateMachine

    @Test func `it is opened by one at a time, and then used by all`() {
        var machine = Machine()
        #expect(machine.called(at: 0, mayOpen: false) == .refuse(.unreachable) && !machine.isUsable)
        #expect(machine.called(at: 0, mayOpen: true) == .open)
        #expect(machine.called(at: 0, mayOpen: true) == .refuse(.unreachable), "it is being opened")
        machine.opened()
        #expect(machine.isUsable && machine.fault == nil)
        for mayOpen in [true, false] { #expect(machine.called(at: 0, mayOpen: mayOpen) == .use) }
    }

    @Test(arguments: [KeyTokenStateMachine.Fault.unreachable, .silent])
    func `after a fault it rests, twice as long each time, up to a minute`(fault: KeyTokenStateMachine.Fault) {
        var machine = Machine()
        var (now, pauses): (Double, [Double]) = (0, [])
        #expect(machine.called(at: now, mayOpen: true) == .open)
        for _ in 0..<9 {
            machine.failed(fault, at: now)
            #expect(machine.fault == fault)
            let began = now
            while machine.called(at: now, mayOpen: true) == .refuse(fault) { now += 0.5 }
            pauses.append(now - began)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        machine.opened()
        machine.failed(fault, at: now)
        #expect(machine.called(at: now + 59, mayOpen: true) == .refuse(fault), "only a call that ends well counts")
        #expect(machine.called(at: now + 60, mayOpen: false) == .refuse(fault), "others do not wait for it")
        #expect(machine.called(at: now + 60, mayOpen: true) == .open)
        machine.opened()
        machine.answered()
        machine.failed(fault, at: now)
        #expect(machine.called(at: now + 1, mayOpen: true) == .open)
    }

    @Test(arguments: [KeyTokenStateMachine.Fault.pinRefused, .pinLocked])
    func `a refused PIN is not tried again before its file changes`(fault: KeyTokenStateMachine.Fault) {
        var machine = Machine()
        #expect(machine.called(at: 0, mayOpen: true) == .open)
        machine.failed(fault, at: 0)
        for later in KeyTokenStateMachine.Fault.allCases {
            // As other sessions end.
            machine.failed(later, at: 5)
            #expect(machine.called(at: 1e9, mayOpen: true) == .refuse(fault) && machine.isBarred)
        }
        machine.pinChanged()
        #expect(machine.called(at: 1e9, mayOpen: true) == .open)
        machine.pinChanged()
        #expect(machine.called(at: 1e9, mayOpen: true) == .refuse(fault), "it is being opened")
        machine.opened()
        #expect(machine.called(at: 1e9, mayOpen: false) == .use && machine.fault == nil)
    }

    /// From each state that three events lead to, each further one keeps these rules.
    @Test func `no order of events opens a barred token, uses a closed one, or opens one twice`() {
        let events: [(String, (inout KeyTokenStateMachine, Double) -> Void)] = [
            ("call", { _ = $0.called(at: $1, mayOpen: true) }), ("opened", { machine, _ in machine.opened() }),
            ("answered", { machine, _ in machine.answered() }), ("gone", { $0.failed(.unreachable, at: $1) }),
            ("hung", { $0.failed(.silent, at: $1) }), ("refused", { $0.failed(.pinRefused, at: $1) }),
            ("locked", { $0.failed(.pinLocked, at: $1) }), ("changed", { machine, _ in machine.pinChanged() }),
        ]
        var seen = 0
        for code in 0..<(8 * 8 * 8 * 8) {
            var (machine, isBarred, order) = (Machine(), false, [String]())
            for step in 0..<4 {
                let (name, apply) = events[code >> (3 * step) & 7]
                // Whoever was not told to open it does not say that it did.
                if name == "opened", isBarred { continue }
                apply(&machine, Double(step))
                order.append(name)
                if ["refused", "locked"].contains(name) { isBarred = true }
                if name == "changed" { isBarred = false }
            }
            let first = machine.called(at: 4, mayOpen: true)
            if isBarred { #expect(first == .refuse(machine.fault ?? .silent), "\(order)") }
            #expect((first == .use) == machine.isUsable, "\(order)")
            if first == .open { #expect(machine.called(at: 1e9, mayOpen: true) != .open, "\(order)") }
            seen += 1
        }
        #expect(seen == 4096)
    }
}
