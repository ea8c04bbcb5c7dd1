import Testing

@testable import Proxy

@Suite struct `The boundary between two messages` {
    private func message(_ type: Character, _ count: Int) -> [UInt8] {
        [type.asciiValue ?? 0] + bigEndian(UInt32(count + 4)) + [UInt8](repeating: UInt8(ascii: "x"), count: count)
    }

    /// Feeds pieces as the relay does; whether a boundary was seen after each byte that ended a piece.
    private func follow(_ bytes: [UInt8], piece: Int) -> [Int: Bool] {
        var machine = MessageBoundaryStateMachine()
        var seen: [Int: Bool] = [:]
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + piece)
            var offset = start
            while offset < end {
                offset += machine.skipped(upTo: end - offset)
                guard offset < end else { break }
                machine.saw(bytes[offset])
                offset += 1
            }
            seen[end] = machine.isBetweenMessages
            start = end
        }
        return seen
    }

    @Test func `is found wherever the bytes are split`() {
        let messages = [message("R", 4), message("Z", 1), message("1", 0), message("D", 300), message("C", 0)]
        let ends = Set(messages.indices.map { messages[...$0].map(\.count).reduce(0, +) })
        let bytes = messages.flatMap(\.self)
        for piece in 1...bytes.count {
            for (position, isBoundary) in follow(bytes, piece: piece) {
                #expect(isBoundary == ends.contains(position), "at \(position) in pieces of \(piece)")
            }
        }
    }

    @Test(arguments: [[0, 0, 0, 0], [0, 0, 0, 3], [0xFF, 0xFF, 0xFF, 0xFF], [0x40, 0, 0, 1]] as [[UInt8]])
    func `is never seen again after what is no message`(_ length: [UInt8]) {
        var machine = MessageBoundaryStateMachine()
        for byte in [UInt8(ascii: "D")] + length { machine.saw(byte) }
        #expect(!machine.isBetweenMessages)
        #expect(machine.skipped(upTo: 1000) == 1000)
        #expect(!machine.isBetweenMessages)
    }

    @Test func `costs five looks a message, however long it is`() {
        let bytes = message("D", 1_000_000)
        var machine = MessageBoundaryStateMachine()
        var looks = 0
        var offset = 0
        while offset < bytes.count {
            offset += machine.skipped(upTo: min(16 << 10, bytes.count - offset))
            guard offset < bytes.count, looks < 5 else { continue }
            machine.saw(bytes[offset])
            (offset, looks) = (offset + 1, looks + 1)
        }
        #expect(looks == 5 && machine.isBetweenMessages)
    }
}
