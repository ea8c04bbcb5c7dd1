import Testing

@testable import Backups

@Suite struct `A put` {
    private enum Event: CaseIterable {
        case key, noKey, end, emptyEnd, sealingFailed, success, unknown, failure, vanished, written, notWritten
    }

    /// Every sequence of up to five events.
    @Test func `writes its manifest only after a key, a stream with bytes in it and a producer that did not fail`() {
        var writes: Set<[Event]> = []
        for sequence in Self.sequences(of: 5) {
            var machine = PutStateMachine(allowsEmpty: false)
            var effective: [Event] = []
            for event in sequence {
                let action = Self.perform(event, on: &machine)
                if action != .ignore { effective.append(event) }
                if action == .writeManifest { writes.insert(effective) }
            }
        }
        #expect(writes == [[.key, .end, .success], [.key, .end, .unknown]])
    }

    @Test func `ends once, and ignores what comes after its end`() {
        for sequence in Self.sequences(of: 5) {
            var machine = PutStateMachine(allowsEmpty: false)
            var isOver = false
            for event in sequence {
                let action = Self.perform(event, on: &machine)
                if isOver { #expect(action == .ignore, "\(sequence)") }
                switch action {
                case .abandon, .reportCompletion: isOver = true
                default: break
                }
            }
        }
    }

    @Test func `is abandoned for each reason there is`() {
        #expect(Self.last([.noKey]) == .abandon(.keyRefused("why")))
        #expect(Self.last([.key, .sealingFailed]) == .abandon(.sealingFailed("why")))
        #expect(Self.last([.key, .emptyEnd, .success]) == .abandon(.empty))
        #expect(Self.last([.key, .emptyEnd, .unknown]) == .abandon(.empty))
        #expect(Self.last([.key, .emptyEnd, .failure]) == .abandon(.producerFailed(status: 3)), "its status says why")
        #expect(Self.last([.key, .end, .failure]) == .abandon(.producerFailed(status: 3)))
        #expect(Self.last([.key, .end, .success, .notWritten]) == .abandon(.manifestFailed("why")))
        for before: [Event] in [[], [.key], [.key, .end], [.key, .emptyEnd]] {
            #expect(Self.last(before + [.vanished]) == .abandon(.clientVanished))
        }
        #expect(Self.last([.key, .end, .success, .vanished]) == .ignore, "the client had already said its word")
    }

    @Test func `keeps an empty stream when it was told to`() {
        var machine = PutStateMachine(allowsEmpty: true)
        #expect(machine.started() == .createKey)
        #expect(machine.keyCreated() == .seal)
        #expect(machine.streamEnded(byteCount: 0) == .awaitProducer)
        #expect(machine.producerEnded(status: 0) == .writeManifest)
        #expect(machine.manifestWritten() == .reportCompletion)
    }

    private static func last(_ events: [Event]) -> PutStateMachine.Action? {
        var machine = PutStateMachine(allowsEmpty: false)
        return events.map { perform($0, on: &machine) }.last
    }

    private static func sequences(of length: Int) -> [[Event]] {
        if length == 0 { return [[]] }
        return sequences(of: length - 1).flatMap { start in Event.allCases.map { start + [$0] } }
    }

    private static func perform(_ event: Event, on machine: inout PutStateMachine) -> PutStateMachine.Action {
        switch event {
        case .key: machine.keyCreated()
        case .noKey: machine.keyRefused("why")
        case .end: machine.streamEnded(byteCount: 5)
        case .emptyEnd: machine.streamEnded(byteCount: 0)
        case .sealingFailed: machine.sealingFailed("why")
        case .success: machine.producerEnded(status: 0)
        case .unknown: machine.producerEnded(status: nil)
        case .failure: machine.producerEnded(status: 3)
        case .vanished: machine.clientVanished()
        case .written: machine.manifestWritten()
        case .notWritten: machine.manifestFailed("why")
        }
    }
}
