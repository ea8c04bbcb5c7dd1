import Testing

@testable import Audit

/// Walks every short history of what can happen, and checks after each step what must always hold.
@Suite struct `Every short history of shipping` {
    private enum Happening: CaseIterable {
        case looked, committed, halfSecondPassed, minutesPassed, replaced
        case keyRegistered, keyUnknown, acknowledgedAll, acknowledgedSome, acknowledgedTooMuch
        case conflictWithin, conflictBefore, conflictBeyond, tooLarge, invalid, busy, unavailable
    }

    private struct World {
        var machine = ShippingStateMachine()
        var view = SpoolView(
            epoch: 1, acknowledged: 0, committed: 3, waitingBytes: 0, offered: 0, isRegistered: false)
        var time = Duration.zero
        var action = ShippingStateMachine.Action.wait(until: nil)
        var sent: UInt64?
        var stoppedEpoch: UInt64?
        var knowsKey = false

        var isCalling: Bool { action == .registerKey || sent != nil }
    }

    private final class Walk {
        var steps = 0
        var violations: [String] = []
    }

    @Test func `keeps to the rules`() {
        let walk = Walk()
        var world = World()
        world.action = world.machine.spoolObserved(world.view, at: world.time)
        check(&world, walk)
        explore(world, depth: 6, walk)
        #expect(walk.violations == [])
        #expect(walk.steps > 150_000)
    }

    private func explore(_ world: World, depth: Int, _ walk: Walk) {
        guard depth > 0, walk.violations.count < 10 else { return }
        for happening in Happening.allCases {
            var next = world
            guard step(&next, happening, walk) else { continue }
            walk.steps += 1
            explore(next, depth: depth - 1, walk)
        }
    }

    private func step(_ world: inout World, _ happening: Happening, _ walk: Walk) -> Bool {
        let epoch = world.view.epoch
        switch happening {
        case .looked: break
        case .committed: world.view.committed += 600
        case .halfSecondPassed: world.time += .milliseconds(500)
        case .minutesPassed: world.time += .seconds(700)
        case .replaced:
            guard !world.isCalling else { return false }
            world.view = SpoolView(
                epoch: epoch + 1, acknowledged: 0, committed: 2, waitingBytes: 0, offered: 0, isRegistered: false)
            world.knowsKey = false
        default: return answer(&world, happening, walk)
        }
        world.action = world.isCalling ? world.action : look(&world)
        check(&world, walk)
        return true
    }

    private func look(_ world: inout World) -> ShippingStateMachine.Action {
        world.machine.spoolObserved(world.view, at: world.time)
    }

    private func answer(_ world: inout World, _ happening: Happening, _ walk: Walk) -> Bool {
        guard let answer = shippingAnswer(world, happening) else { return false }
        if answer == .keyRegistered {
            world.knowsKey = true
            world.view.isRegistered = true
        }
        if answer == .keyUnknown { world.knowsKey = false }
        if case .acknowledged(let last) = answer, happening != .acknowledgedTooMuch { world.view.acknowledged = last }
        world.sent = nil
        world.action = world.machine.answered(answer, at: world.time, jitter: 0.5)
        check(&world, walk)
        return true
    }

    private func shippingAnswer(_ world: World, _ happening: Happening) -> ShippingAnswer? {
        guard world.isCalling else { return nil }
        switch happening {
        case .keyRegistered: return world.action == .registerKey ? .keyRegistered : nil
        case .invalid: return .invalid(reason: "no")
        case .busy: return .busy(retryAfter: .seconds(90))
        case .unavailable: return .unavailable(reason: "away")
        case .tooLarge: return .tooLarge
        default: break
        }
        guard let sent = world.sent else { return nil }
        return switch happening {
        case .keyUnknown: .keyUnknown
        case .acknowledgedAll: .acknowledged(sent)
        case .acknowledgedSome: sent > world.view.acknowledged + 1 ? .acknowledged(sent - 1) : nil
        case .acknowledgedTooMuch: .acknowledged(sent + 1)
        case .conflictWithin: .conflict(next: sent)
        case .conflictBefore: .conflict(next: world.view.acknowledged)
        case .conflictBeyond: .conflict(next: world.view.offered + 2)
        default: nil
        }
    }

    private func check(_ world: inout World, _ walk: Walk) {
        func require(_ holds: Bool, _ rule: String) {
            if !holds { walk.violations.append("\(rule): \(world)") }
        }
        if let stopped = world.stoppedEpoch {
            if stopped == world.view.epoch {
                if case .stop = world.action { return }
                return require(false, "nothing follows a stop")
            }
            world.stoppedEpoch = nil
        }
        switch world.action {
        case .wait(let until?):
            require(until > world.time || world.isCalling, "a wait ends later")
            require(until <= world.time + .seconds(660), "a wait ends some time")
        case .wait(until: nil): break
        case .registerKey: require(!world.knowsKey, "a key is registered once")
        case .send(let first, let count):
            if world.sent != nil { return }
            require(world.knowsKey, "the key comes first")
            require(first > world.view.acknowledged && first <= world.view.committed, "a batch begins with what waits")
            require((1...1000).contains(count), "a batch has a limit")
            let last = min(world.view.committed, first + count - 1)
            world.sent = last
            world.view.offered = max(world.view.offered, last)
            world.machine.batchMade(last: last)
        case .beginEpoch: require(world.view.committed > 0, "a log is replaced after it was used")
        case .stop: world.stoppedEpoch = world.view.epoch
        }
    }
}
