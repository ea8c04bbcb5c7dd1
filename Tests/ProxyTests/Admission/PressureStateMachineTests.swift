import IO
import Testing

@testable import Proxy

@Suite struct `Pressure on memory and descriptors` {
    private func reading(_ percent: Int, _ whose: MemoryReading.Whose = .process) -> MemoryReading {
        MemoryReading(whose: whose, used: percent << 20, limit: 100 << 20)
    }

    @Test func `grows at once and ends only well below where it began, at every pair of readings`() {
        for first in 0...120 {
            for second in 0...120 {
                var machine = PressureStateMachine()
                machine.observed([reading(first)])
                #expect(machine.level == (first >= 97 ? .critical : first >= 90 ? .high : .none))
                let before = machine.level
                machine.observed([reading(second)])
                let expected: PressureStateMachine.Level =
                    second >= 97 ? .critical : second >= 90 ? .high : second < 85 ? .none : min(before, .high)
                #expect(machine.level == expected, "\(first) \(second)")
                #expect((machine.reading == nil) == (expected == .none))
            }
        }
    }

    @Test func `is that of the limit which is nearest, and none where nothing is limited`() {
        var machine = PressureStateMachine()
        machine.observed([reading(91), reading(95, .controlGroup)])
        #expect(machine.reading == reading(95, .controlGroup))
        machine.observed([])
        #expect(machine.level == .none && machine.reading == nil)
        machine.observed([MemoryReading(whose: .process, used: 5, limit: 0)])
        #expect(machine.level == .none)
    }

    @Test(arguments: [64, 256, 400, 1024, 65_536]) func `shows in the number of a new descriptor`(limit: Int) {
        let margin = DescriptorMargin(limit: limit)
        #expect(margin.margin <= 128 && margin.margin <= limit / 8)
        for number in 0..<limit {
            let (level, left) = margin.level(number)
            #expect(left == limit - number - 1)
            #expect(level == (left < margin.margin / 2 ? .critical : left < margin.margin ? .high : .none))
        }
    }

    private func arrives(
        _ machine: inout AdmissionStateMachine, _ id: UInt64, isReserved: Bool = false, descriptor: Int = 10,
        at time: Duration = .zero
    ) -> String {
        let newcomer = AdmissionStateMachine.Newcomer(
            id: id, network: AdmissionSubject.network("10.0.0.1"), listener: 0, isReserved: isReserved,
            descriptor: descriptor)
        switch machine.arrived(newcomer, at: time) {
        case .admit: return "admitted"
        case .refuse(let excess): return "\(excess.reason.rawValue): \(excess)"
        }
    }

    private func machine() -> AdmissionStateMachine {
        var limits = ProxyLimits()
        limits.reserved.unauthenticated = 2
        return AdmissionStateMachine(limits: limits, listeners: [("db", .init())], descriptors: 1024)
    }

    @Test func `turns newcomers away, those of reserved places last, and cuts no session`() {
        var machine = machine()
        #expect(arrives(&machine, 1) == "admitted")
        #expect(machine.authenticated(1, as: .init(), at: .zero) == .admit)
        #expect(arrives(&machine, 2) == "admitted")
        machine.memoryObserved([reading(90)])
        #expect(arrives(&machine, 3) == "memory-pressure: memory of the process: 90 MiB of 100 MiB")
        #expect(arrives(&machine, 4, isReserved: true) == "admitted")
        machine.memoryObserved([reading(97, .controlGroup)])
        #expect(arrives(&machine, 5, isReserved: true) == "memory-pressure: memory of the unit: 97 MiB of 100 MiB")
        #expect(machine.authenticatedCount == 1 && machine.unauthenticatedCount == 2)
        // Who was let in may go on.
        #expect(machine.handshakeRequested(2, at: .zero) == .begin)
        #expect(machine.authenticated(2, as: .init(), at: .zero) == .admit)
        machine.memoryObserved([reading(89)])
        #expect(arrives(&machine, 6, isReserved: true) == "admitted")
        #expect(arrives(&machine, 7, isReserved: true) != "admitted", "all reserved places are taken")
        machine.memoryObserved([reading(84)])
        #expect(arrives(&machine, 8) == "admitted")
        #expect(machine.pressure(at: .zero) == nil)
    }

    @Test func `of descriptors is told of for a moment, for it shows only when somebody comes`() {
        var machine = machine()
        #expect(arrives(&machine, 1, descriptor: 1024 - 128 - 1) == "admitted")
        #expect(machine.pressure(at: .zero) == nil)
        #expect(
            arrives(&machine, 2, descriptor: 900, at: .seconds(10))
                == "descriptor-pressure: descriptors of the process: 123 left")
        #expect(arrives(&machine, 3, isReserved: true, descriptor: 900, at: .seconds(10)) == "admitted")
        #expect(arrives(&machine, 4, isReserved: true, descriptor: 990, at: .seconds(11)) != "admitted")
        #expect(machine.pressure(at: .seconds(16)) == .descriptors(33))
        #expect(machine.pressure(at: .milliseconds(16_001)) == nil)
    }
}
