import Testing

@testable import Proxy

@Suite struct `The first packet of a PostgreSQL client` {
    static let ssl = packet(80_877_103)
    static let gss = packet(80_877_104)
    static let startup = packet(196_608, "user\0shop\0database\0orders\0\0")
    static let clientHello: [UInt8] = [0x16, 0x03, 0x01, 0x00, 0x2F]

    static func packet(_ code: UInt32, _ body: String = "") -> [UInt8] { packet(code, Array(body.utf8)) }

    static func packet(_ code: UInt32, _ body: [UInt8], length: UInt32? = nil) -> [UInt8] {
        bigEndian(length ?? UInt32(8 + body.count)) + bigEndian(code) + body
    }

    /// What one client got: answers, and how the preamble ended.
    struct Outcome: Equatable, CustomStringConvertible {
        var answers: [UInt8] = []
        var end: PostgresPreambleStateMachine.Action?
        /// Left unread in the kernel when TLS began.
        var unread: [UInt8] = []
        var description: String {
            "\(String(decoding: answers, as: UTF8.self)) \(String(describing: end)) \(unread.count)"
        }
    }

    /// Plays a kernel that hands out the client's bytes in the given pieces; `waits`: the client sends the next piece
    /// only when the machine wants more, as a client does that awaits an answer.
    static func play(
        _ pieces: [[UInt8]], in place: PostgresPreambleStateMachine.Place = .clear, waits: Bool = true
    ) -> Outcome {
        var machine = PostgresPreambleStateMachine(place)
        var kernel: [UInt8] = waits ? [] : Array(pieces.joined())
        var coming = waits ? pieces : []
        var outcome = Outcome()
        var action = machine.firstAction
        for _ in 0..<100_000 {
            switch action {
            case .peek, .read:
                while kernel.isEmpty, !coming.isEmpty { kernel += coming.removeFirst() }
                if kernel.isEmpty {
                    outcome.end = machine.ended()
                    return outcome
                }
                if case .read(let limit) = action {
                    let taken = Array(kernel.prefix(limit))
                    kernel.removeFirst(taken.count)
                    action = machine.received(taken)
                } else {
                    action = machine.peeked(kernel[0])
                }
            case .checkSilence: action = kernel.isEmpty ? machine.wasSilent() : machine.wasStuffed()
            case .answer(let byte):
                outcome.answers.append(byte)
                action = machine.answered()
            default:
                outcome.end = action
                outcome.unread = kernel + coming.joined()
                return outcome
            }
        }
        Issue.record("the machine spins")
        return outcome
    }

    /// Every way to cut the bytes in two, and byte by byte.
    static func cuts(_ bytes: [UInt8]) -> [[[UInt8]]] {
        (0...bytes.count).map { [Array(bytes[..<$0]), Array(bytes[$0...])] } + [bytes.map { [$0] }]
    }

    /// Requests that a client sends one after another, waiting for each answer, with every cut of each.
    static func outcomes(
        _ requests: [[UInt8]], in place: PostgresPreambleStateMachine.Place = .clear
    ) -> Set<String> {
        var all: Set<String> = []
        for index in requests.indices {
            for cut in cuts(requests[index]) {
                var pieces = requests.map { [$0] }
                pieces[index] = cut
                all.insert("\(play(Array(pieces.joined()), in: place))")
            }
        }
        return all
    }

    @Test func `asks for TLS and gets it, however its bytes are cut`() {
        #expect(Self.outcomes([Self.ssl, Self.clientHello]) == ["S Optional(\(Self.tls(false))) 5"])
    }

    private static func tls(_ isDirect: Bool) -> String {
        String(reflecting: PostgresPreambleStateMachine.Action.startTLS(isDirect: isDirect))
    }

    @Test func `starts TLS at once, and its first byte stays unread`() {
        let outcome = Self.play([Self.clientHello])
        #expect(outcome.end == .startTLS(isDirect: true))
        #expect(outcome.unread == Self.clientHello)
    }

    @Test func `may ask for GSS encryption before or after TLS, once each`() {
        #expect(Self.play([Self.gss, Self.ssl]) == Outcome(answers: Array("NS".utf8), end: .startTLS(isDirect: false)))
        #expect(Self.play([Self.gss, Self.gss]).end == .close(.repeatedRequest))
        #expect(Self.outcomes([Self.gss, Self.ssl, Self.clientHello]).count == 1)
    }

    @Test func `is cut off when it stuffs bytes behind a request, at every cut of what it stuffs`() {
        for request in [Self.ssl, Self.gss] {
            for count in 1...40 {
                let stuffing = [UInt8](repeating: 0x16, count: count)
                #expect(Self.play([request + stuffing], waits: false).end == .close(.stuffedPreamble))
            }
            for cut in 1..<request.count {
                let pieces = [Array(request[..<cut]), Array(request[cut...]) + Self.startup]
                #expect(Self.play(pieces).end == .close(.stuffedPreamble))
            }
        }
    }

    @Test func `without TLS is told in the wire format that TLS is required, however its bytes are cut`() throws {
        let outcomes = Self.cuts(Self.startup).map { Self.play($0) }
        #expect(outcomes.allSatisfy { $0 == outcomes[0] })
        guard case .refuse(let error, .tlsRequired) = outcomes[0].end else {
            Issue.record("\(outcomes[0])")
            return
        }
        let bytes = error.bytes
        #expect(bytes.first == UInt8(ascii: "E"))
        #expect(bytes[1..<5].reduce(0) { $0 << 8 | Int($1) } == bytes.count - 1)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("SFATAL\0VFATAL\0C28000\0MTLS is required"))
        #expect(text.contains("sslmode=require"))
        #expect(text.hasSuffix("\0\0"))
    }

    @Test func `of an unknown version is told so`() {
        for code: UInt32 in [131_072, 0, 0x0004_0000, 80_877_105, .max] {
            for cut in Self.cuts(Self.packet(code, "anything")) {
                guard case .refuse(let error, .unsupportedProtocol) = Self.play(cut).end else {
                    Issue.record("version \(code)")
                    continue
                }
                #expect(error.code == "0A000")
            }
        }
    }

    @Test func `with an impossible length is closed without a word`() {
        for length: UInt32 in [0, 1, 7, 10_001, 1 << 31 - 1, 1 << 31, .max] {
            #expect(
                Self.play([Self.packet(196_608, [0, 0, 0, 0], length: length)]).end == .close(.malformedPreamble))
        }
        for length: UInt32 in [9, 12, 10_000] {
            #expect(Self.play([Self.packet(80_877_103, [], length: length)]).end == .close(.malformedPreamble))
            #expect(Self.play([Self.packet(80_877_104, [], length: length)]).end == .close(.malformedPreamble))
        }
    }

    @Test func `may cancel with short and long keys, and is never answered`() {
        for count in [4, 5, 32, 255, 256] {
            let packet = Self.packet(80_877_102, [0, 0, 1, 2] + [UInt8](repeating: 7, count: count))
            for cut in Self.cuts(packet) {
                let outcome = Self.play(cut)
                #expect(outcome == Outcome(end: .cancel(CancelRequest(packet: packet))))
            }
        }
        for count in [0, 3, 257, 1000] {
            let packet = Self.packet(80_877_102, [0, 0, 1, 2] + [UInt8](repeating: 7, count: count))
            #expect(Self.play([packet]).end == .close(.malformedPreamble))
        }
    }

    @Test func `that ends early is a probe without bytes, and a client that left with some`() {
        #expect(Self.play([]).end == .close(.probe))
        for whole in [Self.ssl, Self.startup] {
            for count in 1..<whole.count {
                #expect(Self.play([Array(whole[..<count])]).end == .close(.clientLeft))
            }
        }
    }

    @Test func `never asks the kernel for a byte beyond its request`() {
        for request in [Self.ssl, Self.gss, Self.startup, Self.packet(80_877_102, [1, 2, 3, 4, 5, 6, 7, 8])] {
            for count in 0..<request.count {
                var machine = PostgresPreambleStateMachine(.clear)
                var action = machine.peeked(request[0])
                if count > 0 { action = machine.received(Array(request[..<count])) }
                guard case .read(let limit) = action else { continue }
                #expect(limit > 0 && count + limit <= request.count)
            }
        }
    }

    @Test func `inside TLS begins a session, with whatever follows it`() throws {
        for direct in [true, false] {
            for cut in Self.cuts(Self.startup) {
                guard case .admit(let message, rest: []) = Self.play(cut, in: .insideTLS(isDirect: direct)).end else {
                    Issue.record("\(cut)")
                    continue
                }
                #expect(message.user == Array("shop".utf8))
                #expect(message.database == Array("orders".utf8))
                #expect(message.packet == Self.startup)
            }
        }
        let together = Self.play([Self.startup + [1, 2, 3]], in: .insideTLS(isDirect: false), waits: false)
        guard case .admit(_, rest: [1, 2, 3]) = together.end else {
            Issue.record("\(together)")
            return
        }
    }

    @Test func `inside direct TLS may ask for encryption once and hears no`() {
        let place = PostgresPreambleStateMachine.Place.insideTLS(isDirect: true)
        let outcome = Self.play([Self.ssl, Self.gss, Self.startup], in: place)
        #expect(outcome.answers == Array("NN".utf8))
        for request in [Self.ssl, Self.gss] {
            guard case .refuse(let error, .repeatedRequest) = Self.play([request, request], in: place).end else {
                Issue.record("a repeated request was not refused")
                continue
            }
            #expect(error.code == "08P01")
        }
    }

    @Test func `inside TLS that was asked for may not ask again`() {
        for request in [Self.ssl, Self.gss] {
            let outcome = Self.play([request], in: .insideTLS(isDirect: false))
            guard case .refuse(_, .repeatedRequest) = outcome.end else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(outcome.answers == [])
        }
    }

    @Test func `inside TLS with a broken layout is refused as a violation`() {
        let bodies = [
            "user\0shop", "user\0shop\0", "user\0", "\0x\0\0", "", "user\0a\0user\0b\0\0",
            "database\0a\0database\0a\0\0",
        ]
        for body in bodies {
            let outcome = Self.play([Self.packet(196_608, body)], in: .insideTLS(isDirect: false))
            guard case .refuse(let error, .malformedPreamble) = outcome.end else {
                Issue.record("\(body.debugDescription): \(outcome)")
                continue
            }
            #expect(error.code == "08P01")
        }
    }

    @Test func `survives every prefix followed by noise`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let noise = (0..<Int.random(in: 0...64, using: &generator)).map { _ in UInt8.random(in: .min ... .max) }
            let base = [Self.ssl, Self.gss, Self.startup, []].randomElement(using: &generator) ?? []
            let bytes = Array(base.prefix(Int.random(in: 0...base.count, using: &generator))) + noise
            for place in [
                PostgresPreambleStateMachine.Place.clear, .insideTLS(isDirect: true), .insideTLS(isDirect: false),
            ] {
                let outcome = Self.play(bytes.map { [$0] }, in: place)
                #expect(outcome.end != nil && outcome.answers.count <= 2)
            }
        }
    }
}
