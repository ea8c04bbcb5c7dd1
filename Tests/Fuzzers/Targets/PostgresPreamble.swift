@testable import Proxy

extension FuzzTarget {
    static let postgresClear = preamble("postgres-clear", .clear)
    static let postgresInsideTLS = preamble("postgres-inside-tls", .insideTLS(isDirect: false))
    static let postgresDirectTLS = preamble("postgres-direct-tls", .insideTLS(isDirect: true))

    /// However the network cuts a client's first bytes, the same is done with them; and what came in clear is over
    /// when TLS begins.
    private static func preamble(_ name: String, _ place: PostgresPreambleStateMachine.Place) -> FuzzTarget {
        FuzzTarget(name, longest: 12_000) {
            let encryption = packet(PostgresCode.encryptionRequest)
            let gss = packet(PostgresCode.gssRequest)
            let startup = packet(3 << 16, Array("user\0shop\0database\0orders\0\0".utf8))
            return [
                encryption, gss, startup, gss + encryption, encryption + startup, gss + startup,
                packet(PostgresCode.cancelRequest, [0, 0, 0, 1, 2, 3, 4, 5]), startup + Array("more".utf8),
                packet(3 << 16 | 2, Array("user\0a\0replication\0on\0_pq_.x\0y\0\0".utf8)), [0x16, 3, 1, 0, 5],
            ]
        } check: { input in
            for hasAllSent in [true, false] {
                let whole = try Preamble.run(place, input, [input[...]], hasAllSent)
                for cut in cuts(of: input) {
                    let other = try Preamble.run(place, input, cut, hasAllSent)
                    try promise(other == whole, "cut into \(cut.map(\.count)): \(other), and whole: \(whole)")
                }
            }
        }
    }

    private static func packet(_ code: UInt32, _ body: [UInt8] = []) -> [UInt8] {
        bigEndian(UInt32(8 + body.count)) + bigEndian(code) + body
    }
}

/// A client that sends `input` in `pieces`: all at once, or the rest only after each answer.
private struct Preamble {
    struct Outcome: Equatable {
        var answers: [UInt8] = []
        var last: PostgresPreambleStateMachine.Action?
    }

    private let place: PostgresPreambleStateMachine.Place
    private let input: [UInt8]
    private let hasAllSent: Bool
    private var machine: PostgresPreambleStateMachine
    private var pieces: [ArraySlice<UInt8>]
    private var consumed = 0
    private var outcome = Outcome()

    private init(
        _ place: PostgresPreambleStateMachine.Place, _ input: [UInt8], _ pieces: [ArraySlice<UInt8>], _ hasAllSent: Bool
    ) {
        self.place = place
        self.input = input
        self.hasAllSent = hasAllSent
        self.pieces = pieces.filter { !$0.isEmpty }
        machine = PostgresPreambleStateMachine(place)
    }

    static func run(
        _ place: PostgresPreambleStateMachine.Place, _ input: [UInt8], _ pieces: [ArraySlice<UInt8>], _ hasAllSent: Bool
    ) throws -> Outcome {
        var preamble = Preamble(place, input, pieces, hasAllSent)
        return try preamble.run()
    }

    private mutating func run() throws -> Outcome {
        var action = machine.firstAction
        for _ in 0...(2 * input.count + 16) {
            switch action {
            case .peek: action = input.first.map { machine.peeked($0) } ?? machine.ended()
            case .read(let limit): action = try read(limit)
            case .checkSilence:
                action = hasAllSent && consumed < input.count ? machine.wasStuffed() : machine.wasSilent()
            case .answer(let byte):
                outcome.answers.append(byte)
                action = machine.answered()
            default: return try ended(with: action)
            }
        }
        throw BrokenPromise(description: "it asks for ever")
    }

    private mutating func read(_ limit: Int) throws(BrokenPromise) -> PostgresPreambleStateMachine.Action {
        try promise((1...PostgresPreambleStateMachine.longestPacket).contains(limit), "a read of \(limit) bytes")
        guard let piece = pieces.first else { return machine.ended() }
        let taken = piece.prefix(limit)
        pieces[0] = piece.dropFirst(taken.count)
        if pieces[0].isEmpty { pieces.removeFirst() }
        consumed += taken.count
        return machine.received(Array(taken))
    }

    private mutating func ended(with action: PostgresPreambleStateMachine.Action) throws(BrokenPromise) -> Outcome {
        let packet = input.dropFirst(8 * outcome.answers.count)
        outcome.last = action
        switch action {
        case .startTLS:
            try promise(place == .clear, "TLS in TLS")
            try promise(consumed == 8 * outcome.answers.count, "bytes in clear survived into TLS")
        case .admit(let message, let rest):
            try promise(place != .clear, "a session in clear")
            try promise(Array(packet) == message.packet + rest + input[consumed...], "bytes were lost or made up")
            try promise(message.user?.contains(0) != true, "a user with a zero byte")
            let named = StartupMessage(packet: message.packet(naming: "[2001:db8::1]:65535"))
            try promise(named?.session == message.session, "the client's address makes it another session")
            try promise(rest.count <= 2 * PostgresPreambleStateMachine.longestPacket, "\(rest.count) bytes were kept")
            outcome.last = .admit(message, rest: rest + input[consumed...])
        case .cancel(let request):
            try promise(packet.starts(with: request.packet), "another request than was sent")
            try promise(CancelRequest.lengths.contains(request.packet.count), "a request of a wrong length")
        default: break
        }
        return outcome
    }
}
