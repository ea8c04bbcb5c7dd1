import Testing

@testable import Proxy

@Suite struct `The relay of two directions` {
    typealias Machine = RelayStateMachine
    typealias Action = RelayStateMachine.Action

    /// Everything that a driver may report after an action, and everything that may happen while it waits.
    static func successors(of machine: Machine, after action: Action) -> [(
        name: String, machine: Machine, action: Action
    )] {
        var all: [(String, Machine, Action)] = []
        func add(_ name: String, _ event: (inout Machine) -> Action) {
            var next = machine
            let action = event(&next)
            all.append((name, next, action))
        }
        switch action {
        case .transfer(let direction):
            for drained in [true, false] {
                for full in [true, false] {
                    add("transferred \(direction) \(drained) \(full)") {
                        $0.transferred(direction, sourceIsDrained: drained, sinkIsFull: full)
                    }
                }
            }
            for full in [true, false] { add("ended \(direction)") { $0.sourceEnded(direction, sinkIsFull: full) } }
            add("read failed") { $0.readFailed(direction.source) }
            add("write failed") { $0.writeFailed(direction) }
            if direction == .up {
                add("control bytes") {
                    $0.controlBytesWait()
                    return $0.transferred(.up, sourceIsDrained: true, sinkIsFull: false)
                }
            }
        case .flush(let direction):
            for complete in [true, false] {
                add("flushed \(direction)") { $0.flushed(direction, isComplete: complete) }
            }
            add("write failed") { $0.writeFailed(direction) }
        case .sendEnding(let direction):
            for full in [true, false] { add("ending \(direction)") { $0.endingSent(direction, sinkIsFull: full) } }
            add("write failed") { $0.writeFailed(direction) }
        case .watchLinger: add("resumed") { $0.resumed() }
        case .wait:
            for side in Machine.Side.allCases {
                add("readable \(side)") { $0.becameReadable(side) }
                add("writable \(side)") { $0.becameWritable(side) }
            }
        case .close, .abort:
            for side in Machine.Side.allCases {
                add("late readable \(side)") { $0.becameReadable(side) }
                add("late failure \(side)") { $0.readFailed(side) }
            }
        }
        return all
    }

    struct Step: Hashable {
        let machine: Machine
        let action: Action
    }

    /// Every state that any order of events can reach.
    static let reachable: [Step: [Step]] = {
        var found: [Step: [Step]] = [:]
        var open: [Step] = []
        for leftovers in [true, false] {
            var machine = Machine(upHasLeftovers: leftovers)
            let action = machine.began()
            open.append(Step(machine: machine, action: action))
        }
        while let step = open.popLast() {
            if found[step] != nil { continue }
            let next = successors(of: step.machine, after: step.action).map {
                Step(machine: $0.machine, action: $0.action)
            }
            found[step] = next
            open += next
        }
        return found
    }()

    @Test func `has few states, all of them visited`() {
        #expect(Self.reachable.count > 100)
        #expect(Self.reachable.count < 5000)
    }

    @Test func `ends once and then does nothing`() {
        for (step, next) in Self.reachable {
            switch step.action {
            case .close, .abort:
                #expect(step.machine.isOver)
                #expect(next.allSatisfy { $0.action == .wait })
            default: break
            }
            if step.machine.isOver, case .wait = step.action { #expect(next.allSatisfy { $0.action == .wait }) }
        }
    }

    @Test func `can always come to an end`() {
        var ending: Set<Step> = Set(Self.reachable.keys.filter(\.machine.isOver))
        var grew = true
        while grew {
            let more = Self.reachable.filter { !ending.contains($0.key) && !ending.isDisjoint(with: $0.value) }.keys
            grew = !more.isEmpty
            ending.formUnion(more)
        }
        #expect(ending.count == Self.reachable.count)
    }

    @Test func `never reads a direction that has leftovers or has ended`() {
        for (step, _) in Self.reachable {
            guard case .transfer(let direction) = step.action else { continue }
            var flushed = step.machine
            // A direction with leftovers would answer this with something other than reading on.
            #expect(flushed.flushed(direction, isComplete: true) == .transfer(direction))
        }
    }

    @Test func `forgets no readiness`() {
        for (step, _) in Self.reachable where step.action == .wait && !step.machine.isOver {
            for side in Machine.Side.allCases {
                var machine = step.machine
                let first = machine.becameWritable(side)
                var again = step.machine
                _ = again.becameWritable(side)
                #expect(again.resumed() == first || first == .watchLinger)
            }
        }
    }

    @Test func `watches the linger time once, when one direction alone is left`() {
        for (step, next) in Self.reachable where step.action == .watchLinger {
            #expect(step.machine.isHalfClosed)
            #expect(next.allSatisfy { $0.action != .watchLinger })
        }
    }

    @Test func `delivers every byte of a half-closed connection before it closes`() {
        var machine = Machine()
        #expect(machine.began() == .transfer(.up))
        #expect(machine.sourceEnded(.up, sinkIsFull: true) == .transfer(.down))
        #expect(machine.transferred(.down, sourceIsDrained: true, sinkIsFull: false) == .wait)
        #expect(machine.becameWritable(.backend) == .flush(.up))
        #expect(machine.flushed(.up, isComplete: true) == .sendEnding(.up))
        #expect(machine.endingSent(.up, sinkIsFull: false) == .watchLinger)
        #expect(machine.resumed() == .wait)
        #expect(machine.becameReadable(.backend) == .transfer(.down))
        #expect(machine.transferred(.down, sourceIsDrained: false, sinkIsFull: true) == .wait)
        #expect(machine.becameReadable(.backend) == .wait)
        #expect(machine.becameWritable(.client) == .flush(.down))
        #expect(machine.flushed(.down, isComplete: true) == .transfer(.down))
        #expect(machine.sourceEnded(.down) == .sendEnding(.down))
        #expect(machine.endingSent(.down, sinkIsFull: true) == .wait)
        #expect(machine.becameWritable(.client) == .flush(.down))
        #expect(machine.flushed(.down, isComplete: true) == .sendEnding(.down))
        #expect(machine.endingSent(.down, sinkIsFull: false) == .close)
    }

    @Test func `stops reading who fills a stalled peer, and goes on with the other direction`() {
        var machine = Machine()
        _ = machine.began()
        #expect(machine.transferred(.up, sourceIsDrained: false, sinkIsFull: true) == .transfer(.down))
        #expect(machine.transferred(.down, sourceIsDrained: true, sinkIsFull: false) == .wait)
        #expect(machine.becameReadable(.client) == .wait)
        #expect(machine.becameReadable(.backend) == .transfer(.down))
        #expect(machine.transferred(.down, sourceIsDrained: true, sinkIsFull: false) == .wait)
        #expect(machine.becameWritable(.backend) == .flush(.up))
        #expect(machine.flushed(.up, isComplete: true) == .transfer(.up))
    }

    @Test func `gives both directions their turn`() {
        var machine = Machine()
        var action = machine.began()
        var turns: [Machine.Direction] = []
        for _ in 0..<6 {
            guard case .transfer(let direction) = action else { break }
            turns.append(direction)
            action = machine.transferred(direction, sourceIsDrained: false, sinkIsFull: false)
        }
        #expect(turns == [.up, .down, .up, .down, .up, .down])
    }

    @Test func `delivers what a failing backend had said, then resets`() {
        var machine = Machine()
        _ = machine.began()
        _ = machine.transferred(.up, sourceIsDrained: true, sinkIsFull: false)
        #expect(machine.transferred(.down, sourceIsDrained: false, sinkIsFull: true) == .wait)
        #expect(machine.becameReadable(.client) == .transfer(.up))
        #expect(machine.writeFailed(.up) == .watchLinger)
        #expect(machine.resumed() == .wait)
        #expect(machine.becameWritable(.client) == .flush(.down))
        #expect(machine.flushed(.down, isComplete: true) == .transfer(.down))
        #expect(machine.sourceEnded(.down) == .abort(.backend))
    }

    @Test func `aborts at once when the client is gone`() {
        var machine = Machine()
        _ = machine.began()
        #expect(machine.readFailed(.client) == .abort(.client))
        var other = Machine()
        _ = other.began()
        _ = other.transferred(.up, sourceIsDrained: true, sinkIsFull: false)
        #expect(other.writeFailed(.down) == .abort(.client))
    }
}
