import Testing

@testable import nodeguard_plane

@Suite struct `The order of a node's reports` {
    private let first = ReportOrderStateMachine(instance: "a", generation: 10)

    @Test func `is right while one agent counts up, over restarts`() {
        var order = first
        #expect(order.reported(instance: "a", generation: 11) == nil)
        #expect(order.reported(instance: "a", generation: 20) == nil)
        #expect(order.reported(instance: "b", generation: 21) == nil)
        #expect(order == ReportOrderStateMachine(instance: "b", generation: 21, former: ["a"]))
    }

    @Test func `is right if the same report comes twice`() {
        var order = first
        #expect(order.reported(instance: "a", generation: 10, isRepeated: true) == nil)
        #expect(order.reported(instance: "a", generation: 10) == .cloned)
    }

    @Test(arguments: [1, 9, 10]) func `shows a folder that was set back, once`(generation: Int64) {
        var order = first
        #expect(order.reported(instance: "b", generation: generation) == .setBack)
        #expect(order.reported(instance: "b", generation: generation + 1) == nil)
    }

    @Test func `shows a clone as soon as both have reported, and each time again`() {
        var order = first
        #expect(order.reported(instance: "b", generation: 11) == nil)
        #expect(order.reported(instance: "a", generation: 12) == .cloned)
        #expect(order.reported(instance: "b", generation: 13) == .cloned)
        #expect(order.reported(instance: "a", generation: 13) == .cloned)
    }

    @Test func `shows a copy of a running process, which has its instance`() {
        var order = first
        #expect(order.reported(instance: "a", generation: 12) == nil)
        #expect(order.reported(instance: "a", generation: 11) == .cloned)
        #expect(order.generation == 12)
    }

    @Test func `remembers only so many agents`() {
        var order = first
        for number in 0..<100 { _ = order.reported(instance: "i\(number)", generation: 11 + Int64(number)) }
        #expect(order.former.count == ReportOrderStateMachine.formerLimit)
        #expect(order.former.last == "i98")
    }

    /// Two agents in every interleaving of seven reports: found as soon as one comes back that was replaced.
    @Test func `never takes two agents for one`() {
        for choices in 0..<(1 << 7) {
            var order = ReportOrderStateMachine(instance: "a", generation: 10)
            var counts: [Int64] = [10, 10]
            var seen = [true, false]
            var last = 0
            for step in 0..<7 {
                let who = choices >> step & 1
                counts[who] += 1
                let isBack = who != last && seen[who]
                let finding = order.reported(instance: who == 0 ? "a" : "b", generation: counts[who])
                if isBack { #expect(finding == .cloned, "\(choices) at \(step)") }
                if who == last { #expect(finding == nil, "\(choices) at \(step)") }
                seen[who] = true
                last = who
            }
        }
    }
}
