import Testing

@testable import Backups

@Suite struct `A message header` {
    static let header = MessageHeader(
        messageID: (0..<32).map { $0 }, context: EncryptionContext(["ng:v": "1", "ng:backup": "ä"]),
        wraps: [
            WrappedDataKey(provider: Array("nodeguard".utf8), information: [1, 2, 3], wrapped: [4, 5]),
            WrappedDataKey(provider: Array("aws-kms".utf8), information: Array("arn".utf8), wrapped: [6]),
        ],
        frameLength: 1 << 20, commitment: [UInt8](repeating: 7, count: 32), tag: [UInt8](repeating: 8, count: 16))

    @Test func `is read back as it was written, and leaves what follows`() throws {
        let bytes = Self.header.encoded
        let (header, length) = try MessageHeader.parse(bytes + [1, 2, 3])
        #expect(header == Self.header)
        #expect(length == bytes.count)
    }

    @Test func `has its fields where the specification puts them`() {
        let bytes = Self.header.encoded
        #expect(Array(bytes[0..<3]) == [2, 0x04, 0x78])
        #expect(Array(bytes[3..<35]) == Self.header.messageID)
        let context = [0, 2, 0, 9] + Array("ng:backup".utf8) + [0, 2] + Array("ä".utf8) + [0, 4]
        #expect(Array(bytes[37..<(37 + context.count)]) == context)
        #expect(Array(bytes.suffix(53)) == [2, 0, 0x10, 0, 0] + Self.header.commitment + Self.header.tag)
    }

    @Test func `asks for more at every cut, and is never taken for whole`() {
        let bytes = Self.header.encoded
        for length in 0..<bytes.count {
            do {
                _ = try MessageHeader.parse(Array(bytes.prefix(length)))
                Issue.record("a header cut to \(length) bytes was taken")
            } catch {
                #expect((1...(bytes.count - length)).contains(error.missing), "at \(length): \(error)")
            }
        }
    }

    @Test func `of one changed byte is another header or none`() {
        let bytes = Self.header.encoded
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                if let (header, length) = try? MessageHeader.parse(changed) {
                    #expect(header != Self.header)
                    #expect(Array(header.encoded) == Array(changed.prefix(length)))
                }
            }
        }
    }

    @Test func `is refused for what it claims before anything is allocated`() {
        func refusal(_ change: (inout [UInt8]) -> Void) -> MalformedMessage? {
            var bytes = Self.header.encoded
            change(&bytes)
            do {
                _ = try MessageHeader.parse(bytes)
                return nil
            } catch { return error }
        }
        let end = Self.header.encoded.count
        #expect(refusal { $0[0] = 1 }?.description.contains("version") == true)
        #expect(refusal { $0[2] = 0x14 }?.description.contains("suite") == true)
        #expect(refusal { $0.replaceSubrange((end - 52)..<(end - 48), with: [1, 0, 0, 1]) }?.missing == 0)
        #expect(refusal { $0.replaceSubrange((end - 52)..<(end - 48), with: [0, 0, 0, 0]) }?.missing == 0)
        #expect(refusal { $0[end - 53] = 1 }?.description.contains("framed") == true)
        let count = 37 + Self.header.context.serialized.count
        #expect(refusal { $0[count + 1] = 9 }?.description.contains("wrapped keys") == true)
        #expect(refusal { $0[count + 1] = 0 }?.description.contains("wrapped keys") == true)
        #expect(refusal { $0[count + 2] = 0xFF }?.description.contains("too long") == true)
    }

    @Test(
        arguments: [
            [0, 0],
            [0, 2, 0, 1, 0x62, 0, 0, 0, 1, 0x61, 0, 0],
            [0, 2, 0, 1, 0x61, 0, 0, 0, 1, 0x61, 0, 0],
            [0, 1, 0, 1, 0xFF, 0, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 1, 0, 1, 0x61, 0, 0, 9],
            [0, 1, 0, 1, 0x61],
            [0, 1, 0, 11] + Array("aws-crypto-".utf8) + [0, 0],
        ] as [[UInt8]])
    func `has a context only in canonical form`(_ bytes: [UInt8]) {
        do {
            _ = try EncryptionContext.parse(bytes)
            Issue.record("taken")
        } catch { #expect(error.missing == 0, "more bytes of the message would change nothing") }
    }

    @Test func `tells strings apart that only look the same`() {
        #expect(EncryptionContext(["a": "\u{E4}"]) != EncryptionContext(["a": "a\u{308}"]))
    }

    @Test func `survives any bytes`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var bytes = Self.header.encoded
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
            if let (header, length) = try? MessageHeader.parse(bytes) {
                #expect(header.encoded == Array(bytes.prefix(length)))
            }
        }
    }
}
