import Testing

@testable import Backups

@Suite struct `A frame` {
    @Test func `has the bytes of the specification around its ciphertext`() {
        let regular = Frame(sequence: 0x0102_0304, isFinal: false, length: 4096)
        #expect(regular.prefix == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])
        #expect(regular.encodedLength == 4096 + 32)
        let final = Frame(sequence: 2, isFinal: true, length: 5)
        #expect(
            final.prefix
                == [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2] + [UInt8](repeating: 0, count: 11) + [2] + [0, 0, 0, 5])
        #expect(final.encodedLength == 5 + 40)
    }

    @Test func `binds message, place, length and finality`() {
        let id = [UInt8](repeating: 9, count: 32)
        let one = Frame(sequence: 1, isFinal: false, length: 7).associatedData(messageID: id)
        #expect(one == id + Array("AWSKMSEncryptionClient Frame".utf8) + [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7])
        let last = Frame(sequence: 1, isFinal: true, length: 7).associatedData(messageID: id)
        #expect(last == id + Array("AWSKMSEncryptionClient Final Frame".utf8) + [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7])
    }

    @Test func `is read back, or refused for a wrong IV or a length beyond the frame`() throws {
        for frame in [Frame(sequence: 3, isFinal: false, length: 64), Frame(sequence: 3, isFinal: true, length: 9)] {
            #expect(try Frame.parse(prefix: frame.prefix, frameLength: 64) == frame)
            for index in frame.prefix.indices {
                var changed = frame.prefix
                changed[index] ^= 1
                let parsed = try? Frame.parse(prefix: changed, frameLength: 64)
                #expect(parsed != frame)
            }
        }
        let long = Frame(sequence: 1, isFinal: true, length: 65)
        #expect(throws: MalformedMessage.self) { try Frame.parse(prefix: long.prefix, frameLength: 64) }
    }

    @Test func `adds up to the stored length of a message`() {
        let frames = [
            Frame(sequence: 1, isFinal: false, length: 64), Frame(sequence: 2, isFinal: false, length: 64),
            Frame(sequence: 3, isFinal: true, length: 10),
        ]
        let sum = frames.map(\.encodedLength).reduce(500, +)
        #expect(StreamLayout.encodedLength(header: 500, plaintext: 138, frames: 3) == Int64(sum))
    }
}
