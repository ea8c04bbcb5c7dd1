import Testing

@testable import Backups

@Suite struct `The order of frames` {
    private enum Event: CaseIterable {
        case expected, repeated, skipped, zero, expectedFinal, wrongFinal, excess, end
    }

    /// Every sequence of up to five events, against the rule said in other words.
    @Test func `takes 1, 2, 3 to one final frame and then the end, and nothing else`() {
        var accepted = 0
        for length in 0...5 {
            for sequence in Self.sequences(of: length) where Self.run(sequence) {
                accepted += 1
                #expect(sequence.last == .end)
                #expect(sequence.dropLast().last == .expectedFinal)
                #expect(sequence.dropLast(2).allSatisfy { $0 == .expected })
            }
        }
        #expect(accepted == 4, "final frame at 1, 2, 3 and 4")
    }

    @Test func `stays refused, for the first reason`() {
        var machine = FrameOrderStateMachine()
        let reason = machine.framePrefixRead(sequence: 2, isFinal: false)
        #expect(reason == .refuse("frame 2 where 1 must come"))
        #expect(machine.framePrefixRead(sequence: 1, isFinal: true) == reason)
        #expect(machine.inputEnded() == reason)
        #expect(machine.excessRead() == reason)
    }

    @Test func `never takes the mark of the final frame for a sequence number`() {
        var machine = FrameOrderStateMachine()
        #expect(machine.framePrefixRead(sequence: UInt32.max, isFinal: false) != .open)
    }

    private static func sequences(of length: Int) -> [[Event]] {
        if length == 0 { return [[]] }
        return sequences(of: length - 1).flatMap { start in Event.allCases.map { start + [$0] } }
    }

    /// Whether every event was taken and the end was accepted last.
    private static func run(_ events: [Event]) -> Bool {
        var machine = FrameOrderStateMachine()
        var next: UInt32 = 1
        var ended = false
        for event in events {
            if ended { return false }
            let action: FrameOrderStateMachine.Action
            switch event {
            case .expected:
                action = machine.framePrefixRead(sequence: next, isFinal: false)
                next += 1
            case .repeated: action = machine.framePrefixRead(sequence: next - 1, isFinal: false)
            case .skipped: action = machine.framePrefixRead(sequence: next + 1, isFinal: false)
            case .zero: action = machine.framePrefixRead(sequence: 0, isFinal: true)
            case .expectedFinal:
                action = machine.framePrefixRead(sequence: next, isFinal: true)
                next += 1
            case .wrongFinal: action = machine.framePrefixRead(sequence: next + 1, isFinal: true)
            case .excess: action = machine.excessRead()
            case .end: action = machine.inputEnded()
            }
            switch action {
            case .open: break
            case .acceptEnd: ended = true
            case .refuse: return false
            }
        }
        return ended
    }
}
