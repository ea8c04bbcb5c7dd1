import Testing

@testable import Certificates

@Suite struct `When a certificate is published` {
    private static let times = PublicationStateMachine.Times()

    private func machine(hasCheck: Bool = true) -> PublicationStateMachine {
        PublicationStateMachine(hasCheck: hasCheck, patience: 60)
    }

    /// Told of `one` at 0 and published at 1.
    private func written(hasCheck: Bool = true) -> PublicationStateMachine {
        var machine = machine(hasCheck: hasCheck)
        machine.taken("one")
        machine.asked(at: 0)
        machine.answered(.published, "one", random: 0, at: 1)
        return machine
    }

    @Test func `nothing is to be done before there is one`() {
        let machine = machine()
        #expect(machine.phase == .waiting)
        #expect(machine.nextAction(at: 5) == .wait(until: 35))
    }

    @Test func `it is asked for once, waited for, and then checked`() {
        var machine = machine()
        machine.taken("one")
        #expect(machine.nextAction(at: 0) == .publish && machine.phase == .publishing)
        machine.asked(at: 0)
        #expect(machine.nextAction(at: 0) == .wait(until: 1))
        machine.taken("one")
        #expect(machine.nextAction(at: 59.5) == .wait(until: 60), "the same again asks for nothing")
        machine.answered(.published, "one", random: 0, at: 59.5)
        #expect(machine.nextAction(at: 59.5) == .check && machine.phase == .written)
        let isTold = machine.checked(.served, random: 0, at: 60)
        #expect(!isTold && machine.phase == .served)
        #expect(machine.nextAction(at: 60) == .wait(until: 90) && machine.nextAction(at: 90) == .check)
    }

    @Test func `without a check it is done when it is written`() {
        let machine = written(hasCheck: false)
        #expect(machine.phase == .written && machine.nextAction(at: 100) == .wait(until: 130))
    }

    @Test func `a new one is asked for whatever became of the one before`() {
        for answer: PublicationStateMachine.Answer in [.published, .failed, .withheld] {
            var machine = machine()
            machine.taken("one")
            machine.asked(at: 0)
            machine.answered(answer, "one", random: 1, at: 1)
            machine.taken("two")
            #expect(machine.nextAction(at: 1) == .publish, "\(answer)")
        }
    }

    @Test func `that has to wait for its window is looked at again, and forgotten with the next one`() {
        var machine = written(hasCheck: false)
        machine.taken("two")
        #expect(machine.nextAction(at: 10) == .publish)
        machine.postponed(by: 86_400, at: 10)
        #expect(machine.phase == .postponed)
        #expect(machine.nextAction(at: 10) == .wait(until: 40), "the clock of windows can be set")
        #expect(machine.nextAction(at: 40) == .publish && machine.phase == .postponed)
        machine.postponed(by: 5, at: 40)
        #expect(machine.nextAction(at: 44) == .wait(until: 45) && machine.nextAction(at: 45) == .publish)
        machine.postponed(by: 86_400, at: 45)
        machine.taken("three")
        #expect(machine.phase == .publishing && machine.nextAction(at: 46) == .publish)
        machine.postponed(by: 86_400, at: 46)
        machine.answered(.published, "three", random: 0, at: 47)
        #expect(machine.phase == .written, "somebody has done it by hand")
        machine.taken("four")
        machine.postponed(by: 5, at: 50)
        machine.asked(at: 55)
        #expect(machine.phase == .publishing)
    }

    @Test func `an answer that never comes is a failure, and a pause follows`() {
        var machine = machine()
        machine.taken("one")
        machine.asked(at: 0)
        #expect(machine.nextAction(at: 60) == .missAnswer)
        machine.answerMissed(random: 0, at: 60)
        #expect(machine.phase == .failed && machine.nextAction(at: 60) == .wait(until: 65))
        #expect(machine.nextAction(at: 65) == .publish)
    }

    @Test func `pauses double up to a limit, and are spread`() {
        for random in [0.0, 0.5, 0.999] {
            var machine = machine()
            machine.taken("one")
            var time = 0.0
            var lengths: [Double] = []
            for _ in 0..<30 {
                machine.asked(at: time)
                machine.answered(.failed, "one", random: random, at: time)
                let failed = time
                while machine.nextAction(at: time) != .publish {
                    guard case .wait(let next) = machine.nextAction(at: time), next > time else {
                        Issue.record("it neither waits nor publishes")
                        return
                    }
                    #expect(next <= time + Self.times.interval)
                    time = next
                }
                lengths.append(time - failed)
            }
            let share = 0.5 + random / 2
            #expect(abs((lengths.first ?? 0) - Self.times.firstPause * share) < 0.001)
            #expect(abs((lengths.last ?? 0) - Self.times.longestPause * share) < 0.001)
            #expect(zip(lengths, lengths.dropFirst()).allSatisfy { $0 <= $1 + 0.001 })
        }
    }

    @Test func `another certificate is no failure before the reader had its time, and then it is told again`() {
        var machine = written()
        for second in 1..<31 {
            #expect(machine.nextAction(at: Double(second)) == .check)
            let isTold = machine.checked(.other, random: 0, at: Double(second))
            #expect(!isTold && machine.phase == .written)
        }
        let isTold = machine.checked(.other, random: 0, at: 31)
        #expect(isTold && machine.phase == .failed)
        #expect(machine.nextAction(at: 36) == .publish)
    }

    @Test func `a reader that goes back to another one is told at once`() {
        var machine = written()
        let (first, second) = (
            machine.checked(.served, random: 0, at: 2), machine.checked(.other, random: 0, at: 3)
        )
        #expect(!first && second && machine.phase == .failed)
    }

    @Test func `a silent reader is asked on, and nothing is written again for it`() {
        var machine = written()
        let early = machine.checked(.silent, random: 0, at: 2)
        #expect(!early && machine.nextAction(at: 2) == .wait(until: 3))
        let late = machine.checked(.silent, random: 0, at: 100)
        #expect(late && machine.phase == .written && machine.nextAction(at: 100) == .wait(until: 130))
        let isTold = machine.checked(.served, random: 0, at: 130)
        #expect(!isTold && machine.phase == .served)
    }

    @Test func `what somebody withheld stays so until there is another, or somebody publishes it`() {
        var machine = written()
        machine.answered(.withheld, "one", random: 0, at: 5)
        #expect(machine.phase == .withheld && machine.nextAction(at: 1000) == .wait(until: 1030))
        var published = machine
        published.answered(.published, "one", random: 0, at: 6)
        #expect(published.phase == .written)
        machine.taken("two")
        #expect(machine.nextAction(at: 7) == .publish)
    }

    @Test func `an answer about another one is none, and two that never agree do not spin`() {
        var machine = machine()
        machine.taken("two")
        machine.asked(at: 0)
        machine.answered(.failed, "one", random: 0, at: 1)
        #expect(machine.nextAction(at: 1) == .wait(until: 2), "an older one's failure")
        machine.answered(.published, "one", random: 0, at: 1)
        #expect(machine.nextAction(at: 1) == .wait(until: 6))
        #expect(machine.nextAction(at: 6) == .publish)
    }

    /// Every sequence of five things that can happen, each some seconds after the other.
    @Test func `it always comes to an action, and no wait is longer than the interval`() {
        typealias Step = (inout PublicationStateMachine, Double) -> Void
        let steps: [Step] = [
            { machine, _ in machine.taken("one") }, { machine, _ in machine.taken("two") },
            { $0.asked(at: $1) },
            { $0.answered(.published, "one", random: 0.5, at: $1) },
            { $0.answered(.failed, "one", random: 0.5, at: $1) },
            { $0.answered(.failed, nil, random: 0.5, at: $1) },
            { $0.answered(.withheld, "two", random: 0.5, at: $1) },
            { $0.answerMissed(random: 0.5, at: $1) },
            { _ = $0.checked(.served, random: 0.5, at: $1) }, { _ = $0.checked(.other, random: 0.5, at: $1) },
            { _ = $0.checked(.silent, random: 0.5, at: $1) },
        ]
        func explore(_ machine: PublicationStateMachine, _ depth: Int, _ time: Double) {
            switch machine.nextAction(at: time) {
            case .wait(let next):
                if next <= time || next > time + Self.times.interval {
                    Issue.record("waits from \(time) to \(next) in \(machine)")
                }
            case .publish: #expect(machine.phase != .withheld && machine.phase != .served && machine.phase != .waiting)
            case .check: #expect([.written, .served].contains(machine.phase))
            case .missAnswer: #expect(machine.phase == .publishing)
            }
            if depth == 0 { return }
            for step in steps {
                var next = machine
                step(&next, time + 7)
                explore(next, depth - 1, time + 7)
            }
        }
        for hasCheck in [true, false] { explore(machine(hasCheck: hasCheck), 4, 0) }
    }
}
