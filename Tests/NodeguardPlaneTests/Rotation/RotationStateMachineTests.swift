import Testing

@testable import nodeguard_plane

/// Nodes as they report in each phase.
extension RotationStateMachine.Report {
    fileprivate static let before = Self(hasOld: true, keepsOld: true, usesOld: true)
    fileprivate static let both = Self(hasOld: true, hasNew: true, keepsOld: true, keepsNew: true, usesOld: true)
    fileprivate static let moving = Self(
        hasOld: true, hasNew: true, keepsOld: true, keepsNew: true, usesOld: true, usesNew: true)
    fileprivate static let moved = Self(hasOld: true, hasNew: true, keepsOld: true, keepsNew: true, usesNew: true)
    fileprivate static let after = Self(hasNew: true, keepsNew: true, usesNew: true)
}

@Suite struct `A change of the root` {
    private let terms = RotationStateMachine.Terms(alertLimit: 3, watch: 60, spread: 600)

    private func nodes(_ reports: RotationStateMachine.Report?...) -> [RotationStateMachine.Node] {
        reports.enumerated().map { .init(name: "c/\($0)", report: $1) }
    }

    private func issuing(_ pace: RotationStateMachine.Pace) -> RotationStateMachine {
        .init(.issuing, pace: pace, canary: "c/0", canarySince: nil, terms: terms, changedAt: 0)
    }

    private func refusal(_ body: () throws -> Void) -> RotationStateMachine.Refusal? {
        do {
            try body()
            return nil
        } catch { return error as? RotationStateMachine.Refusal }
    }

    @Test func `goes from trust to issuing to the end, and may begin again`() throws {
        var machine = RotationStateMachine()
        #expect(!machine.issuesNew(to: nil) && machine.trustsOld && !machine.trustsNew)
        try machine.startOrdered(nodes(.before, nil), at: 1)
        #expect(machine.phase == .trusting && machine.trustsOld && machine.trustsNew && !machine.issuesNew(to: "c/0"))
        try machine.issueOrdered(canary: "c/1", terms, nodes(.both, .both), at: 2)
        #expect(machine.issuesNew(to: "c/1") && !machine.issuesNew(to: "c/0") && !machine.issuesNew(to: nil))
        #expect(machine.reported(nodes(.both, .moving)[1], at: 3) == .none, "not all of its certificates")
        #expect(machine.reported(nodes(.both, .moved)[1], at: 4) == .none, "it serves since now")
        #expect(machine.reported(nodes(.moved)[0], at: 90) == .none, "it is not the first")
        #expect(machine.reported(nodes(.both, .moved)[1], at: 63) == .none)
        #expect(machine.reported(nodes(.both, .moved)[1], at: 64) == .widened)
        #expect(machine.changedAt == 64 && machine.issuesNew(to: nil) && machine.issuesNew(to: "c/0"))
        try machine.finishOrdered(nodes(.moved, .moved), at: 100)
        #expect(machine.phase == .dropped && !machine.trustsOld && machine.trustsNew && machine.issuesNew(to: nil))
        var early = machine
        #expect(refusal { try early.startOrdered(nodes(.after, .moved), at: 101) } == .lagging(["c/1": [.keepsOld]]))
        try machine.startOrdered(nodes(.after, .after, nil), at: 101)
        #expect(machine.phase == .trusting)
    }

    /// Each step against each state of one node: which are let through, and what holds back the others.
    @Test(arguments: RotationStateMachine.Phase.allCases, RotationStateMachine.Pace.allCases)
    func `takes each step only from where it leads on`(
        phase: RotationStateMachine.Phase, pace: RotationStateMachine.Pace
    ) {
        let machine = RotationStateMachine(
            phase, pace: pace, canary: "c/0", canarySince: nil, terms: terms, changedAt: 0)
        func step(_ body: (inout RotationStateMachine) throws -> Void) -> RotationStateMachine.Phase? {
            var copy = machine
            let refused = refusal { try body(&copy) }
            if refused != nil { #expect(copy == machine, "a refusal changes nothing") }
            return refused == nil ? copy.phase : nil
        }
        let fit = nodes(.init(hasOld: true, hasNew: true, usesNew: false))
        let mayStart = phase == .dropped || phase == .withdrawn
        #expect(step { try $0.startOrdered(fit, at: 1) } == (mayStart ? .trusting : nil))
        let mayIssue = phase == .trusting || phase == .issuing && pace == .halted
        #expect(step { try $0.issueOrdered(canary: "c/0", terms, fit, at: 1) } == (mayIssue ? .issuing : nil))
        #expect(step { try $0.finishOrdered(fit, at: 1) } == (phase == .issuing && pace == .everyone ? .dropped : nil))
        let back: [RotationStateMachine.Phase: RotationStateMachine.Phase] = [
            .trusting: .withdrawn, .issuing: .trusting, .dropped: .issuing,
        ]
        #expect(step { try $0.rollbackOrdered(fit, at: 1) } == back[phase])
    }

    /// All 2^6 reports and silence, against what each step needs.
    @Test func `is held back by each node that lags, and says why`() {
        var reports: [RotationStateMachine.Report?] = [nil]
        for bits in 0..<64 {
            func bit(_ number: Int) -> Bool { bits >> number & 1 == 1 }
            reports.append(
                .init(
                    hasOld: bit(0), hasNew: bit(1), keepsOld: bit(2), keepsNew: bit(3), usesOld: bit(4),
                    usesNew: bit(5)))
        }
        func holds(
            _ phase: RotationStateMachine.Phase, _ body: (inout RotationStateMachine) throws -> Void
        ) -> Bool {
            var machine = RotationStateMachine(
                phase, pace: .everyone, canary: nil, canarySince: nil, terms: terms, changedAt: 0)
            guard case .lagging(let names)? = refusal({ try body(&machine) }) else { return false }
            return names.keys.first == "c/0" && names["c/0"]?.isEmpty == false
        }
        for report in reports {
            let all = nodes(report)
            #expect(
                holds(.trusting) { try $0.issueOrdered(canary: "c/0", terms, all, at: 1) } == !(report?.hasNew ?? false)
            )
            #expect(
                holds(.issuing) { try $0.finishOrdered(all, at: 1) }
                    == (report.map { !$0.hasNew || $0.usesOld } ?? true))
            #expect(
                holds(.dropped) { try $0.startOrdered(all, at: 1) }
                    == (report.map { $0.keepsOld || $0.usesOld } ?? false))
            #expect(
                holds(.withdrawn) { try $0.startOrdered(all, at: 1) }
                    == (report.map { $0.keepsNew || $0.usesNew } ?? false))
            #expect(holds(.issuing) { try $0.rollbackOrdered(all, at: 1) } == (report.map { !$0.hasOld } ?? false))
            #expect(
                holds(.trusting) { try $0.rollbackOrdered(all, at: 1) }
                    == (report.map { $0.usesNew || !$0.hasOld } ?? false))
            #expect(!holds(.dropped) { try $0.rollbackOrdered(all, at: 1) })
        }
    }

    @Test func `begins at a node that there is, and at once everywhere where there is none`() throws {
        var machine = RotationStateMachine()
        try machine.startOrdered([], at: 0)
        let unknown = refusal { try machine.issueOrdered(canary: "c/9", terms, nodes(.both), at: 1) }
        #expect(unknown == .unknownCanary("c/9"))
        try machine.issueOrdered(canary: "", terms, [], at: 1)
        #expect(machine.pace == .everyone && machine.issuesNew(to: nil))
    }

    @Test(arguments: [RotationStateMachine.Pace.canary, .everyone])
    func `halts by itself when clients refuse the new certificates`(pace: RotationStateMachine.Pace) throws {
        var machine = issuing(pace)
        var node = RotationStateMachine.Node(name: "c/0", report: .moved, alertsBefore: 5)
        node.report?.alertCount = 7
        #expect(machine.reported(node, at: 1) == .none)
        node.report?.alertCount = 8
        #expect(machine.reported(node, at: 2) == .halted(node: "c/0", alerts: 3))
        #expect(machine.pace == .halted && machine.changedAt == 2)
        #expect(!machine.issuesNew(to: "c/0") && !machine.issuesNew(to: nil))
        #expect(machine.reported(node, at: 900) == .none, "it stays so until an operator has looked")
        #expect(refusal { try machine.finishOrdered(nodes(.moved), at: 3) } == .halted)
        try machine.issueOrdered(canary: "c/0", terms, nodes(.moved), at: 3)
        #expect(machine.pace == .canary)
    }

    @Test func `does not mind what clients refused before, nor a count that began anew`() {
        var machine = issuing(.canary)
        var node = RotationStateMachine.Node(name: "c/1", report: .both)
        node.report?.alertCount = 100
        #expect(machine.reported(node, at: 1) == .none, "those are about the old certificate")
        #expect(RotationStateMachine.alertsBefore(node) == 100)
        node = .init(name: "c/1", report: .moved, alertsBefore: 100)
        node.report?.alertCount = 2
        #expect(RotationStateMachine.rise(of: node) == 2, "the agent was restarted")
        #expect(machine.reported(node, at: 2) == .none)
        #expect(RotationStateMachine.alertsBefore(node) == 100)
    }

    @Test func `waits anew for the first node where the clock was set back`() {
        var machine = issuing(.canary)
        let node = nodes(.moved)[0]
        #expect(machine.reported(node, at: 1000) == .none)
        #expect(machine.reported(node, at: 10) == .none)
        #expect(machine.reported(node, at: 69) == .none)
        #expect(machine.reported(node, at: 70) == .widened)
    }

    @Test func `goes back step by step, and forward again`() throws {
        var machine = issuing(.everyone)
        try machine.finishOrdered(nodes(.moved), at: 1)
        try machine.rollbackOrdered(nodes(.after), at: 2)
        #expect(machine.phase == .issuing && machine.pace == .everyone && machine.trustsOld)
        #expect(refusal { try machine.rollbackOrdered(nodes(.after), at: 3) } == .lagging(["c/0": [.lacksOld]]))
        try machine.rollbackOrdered(nodes(.moved), at: 3)
        #expect(machine.phase == .trusting && !machine.issuesNew(to: "c/0"))
        #expect(refusal { try machine.rollbackOrdered(nodes(.moved), at: 4) } == .lagging(["c/0": [.usesNew]]))
        try machine.rollbackOrdered(nodes(.both), at: 4)
        #expect(machine.phase == .withdrawn && !machine.trustsNew)
        #expect(refusal { try machine.rollbackOrdered(nodes(.before), at: 5) } == .nothingToUndo)
        try machine.startOrdered(nodes(.before), at: 5)
        #expect(machine.phase == .trusting)
    }

    @Test func `names who keeps it waiting`() {
        let all = nodes(nil, .before, .moved)
        func lags(_ phase: RotationStateMachine.Phase) -> [String: [RotationStateMachine.Lag]] {
            RotationStateMachine(phase, pace: .everyone, canary: nil, canarySince: nil, terms: terms, changedAt: 0)
                .laggards(all)
        }
        #expect(lags(.trusting) == ["c/0": [.silent], "c/1": [.lacksNew]])
        #expect(lags(.issuing) == ["c/0": [.silent], "c/1": [.lacksNew, .usesOld]])
        #expect(lags(.dropped) == ["c/1": [.keepsOld, .usesOld], "c/2": [.keepsOld]])
        #expect(lags(.withdrawn) == ["c/2": [.keepsNew, .usesNew]])
        #expect(RotationStateMachine().laggards(all).isEmpty)
    }
}
