import IO
import OpenSSL
import Testing

@testable import Backups

@Suite struct `A reader of sealed streams` {
    /// Two volumes: 4 frames of 64 bytes, then one of 40.
    private static func fixture() throws -> SealedFixture { try SealedFixture(someBytes(296)) }

    private static func open(
        _ fixture: SealedFixture, firstVolume bytes: [UInt8], withRecords: Bool
    ) throws -> (released: [UInt8], error: BackupError?) {
        let target = AlteredTarget([
            fixture.objects[0]: bytes, fixture.objects[1]: try fixture.bytes(of: fixture.objects[1]),
        ])
        return fixture.open(withRecords ? fixture.messages : fixture.messagesWithoutRecords, from: target)
    }

    /// Where each frame of the first volume starts, and where the volume ends.
    private static func borders(of bytes: [UInt8]) throws -> [Int] {
        let header = try MessageHeader.parse(bytes).length
        return [header] + (1...3).map { header + $0 * (64 + 32) } + [bytes.count]
    }

    /// Each byte, by a bit that moves on; every bit of a frame's prefix and tag.
    @Test func `refuses every changed byte, and releases only the frames before it`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        let borders = try Self.borders(of: bytes)
        for index in bytes.indices {
            let isNearBorder = borders.contains { (-16..<24).contains(index - $0) }
            for bit in isNearBorder ? Array(0..<8) : [index % 8] {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                let (released, error) = try Self.open(fixture, firstVolume: changed, withRecords: false)
                #expect(error?.kind == .corrupt, "bit \(bit) of byte \(index): \(String(describing: error))")
                let frames = borders.filter { $0 <= index }.count - 1
                #expect(released == Array(fixture.plaintext.prefix(max(0, frames) * 64)), "byte \(index)")
            }
        }
    }

    @Test func `refuses every cut`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        let borders = try Self.borders(of: bytes)
        for length in 0..<bytes.count {
            let cut = Array(bytes.prefix(length))
            let (released, error) = try Self.open(fixture, firstVolume: cut, withRecords: false)
            #expect(error?.kind == .corrupt, "cut to \(length)")
            let frames = borders.filter { $0 <= length }.count - 1
            #expect(released == Array(fixture.plaintext.prefix(max(0, frames) * 64)))
            // With the manifest, a wrong length is refused before anything is read.
            #expect(try Self.open(fixture, firstVolume: cut, withRecords: true).released == [])
        }
    }

    @Test func `refuses frames that are swapped, repeated, left out or taken from elsewhere`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        let borders = try Self.borders(of: bytes)
        let header = Array(bytes[..<borders[0]])
        let frames = (0..<4).map { Array(bytes[borders[$0]..<borders[$0 + 1]]) }
        let second = try fixture.bytes(of: fixture.objects[1])
        let final = Array(second[try MessageHeader.parse(second).length...])
        let arrangements: [[[UInt8]]] = [
            [frames[1], frames[0], frames[2], frames[3]], [frames[0], frames[2], frames[1], frames[3]],
            [frames[0], frames[0], frames[1], frames[2], frames[3]], [frames[0], frames[1], frames[1], frames[3]],
            [frames[1], frames[2], frames[3]], [frames[0], frames[1], frames[3]], [frames[3]], [],
            [frames[0], frames[1], frames[2]], [frames[0], frames[1], frames[2], frames[3], frames[3]],
            [frames[0], frames[1], frames[2], frames[3], frames[0]], [frames[3], frames[0], frames[1], frames[2]],
            [final], [frames[0], frames[1], frames[2], final],
        ]
        for (index, arrangement) in arrangements.enumerated() {
            let altered = header + arrangement.flatMap { $0 }
            let (released, error) = try Self.open(fixture, firstVolume: altered, withRecords: false)
            #expect(error?.kind == .corrupt, "arrangement \(index)")
            #expect(fixture.plaintext.starts(with: released))
            #expect(released.count % 64 == 0 && released.count < 256)
        }
    }

    @Test func `refuses what follows the final frame, and then does not release that frame either`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        for excess in [[0], [1, 2, 3], bytes, someBytes(100)] as [[UInt8]] {
            let (released, error) = try Self.open(fixture, firstVolume: bytes + excess, withRecords: false)
            #expect(error?.kind == .corrupt)
            #expect(error?.description.contains("follow") == true)
            #expect(released == Array(fixture.plaintext.prefix(3 * 64)))
        }
    }

    @Test func `refuses trailing bytes after a short final frame too`() throws {
        let fixture = try SealedFixture(someBytes(40))
        let bytes = try fixture.bytes(of: fixture.objects[0])
        for count in [1, 24, 25, 200] {
            let target = AlteredTarget([fixture.objects[0]: bytes + someBytes(count)])
            let (released, error) = fixture.open(fixture.messagesWithoutRecords, from: target)
            #expect(error?.kind == .corrupt)
            #expect(released == [])
        }
    }

    @Test func `refuses a volume in another's place`() throws {
        let fixture = try SealedFixture(someBytes(512))
        let (one, two) = (fixture.objects[0], fixture.objects[1])
        let swapped = AlteredTarget([one: try fixture.bytes(of: two), two: try fixture.bytes(of: one)])
        for messages in [fixture.messages, fixture.messagesWithoutRecords] {
            let (released, error) = fixture.open(messages, from: swapped)
            #expect(error?.kind == .corrupt)
            #expect(released == [])
        }
        #expect(fixture.open(from: AlteredTarget([two: try fixture.bytes(of: two)])).error?.kind == .corrupt)
    }

    @Test func `refuses a volume of another backup, though the same key sealed it`() throws {
        let fixture = try Self.fixture()
        let other = try SealedFixture(someBytes(296), keyBytes: fixture.keyBytes)
        let (released, error) = try Self.open(
            fixture, firstVolume: try other.bytes(of: other.objects[0]), withRecords: false)
        #expect(error?.description.contains("another backup") == true)
        #expect(released == [])
    }

    /// Same backup, same volume, same key: only the manifest's hash of the tags tells an older sealing from this one.
    @Test func `refuses an earlier sealing of the same volume`() throws {
        let fixture = try Self.fixture()
        let earlier = try SealedFixture(someBytes(296, seed: 9), keyBytes: fixture.keyBytes, identity: fixture.identity)
        let (_, error) = try Self.open(
            fixture, firstVolume: try earlier.bytes(of: earlier.objects[0]), withRecords: true)
        #expect(error?.description.contains("another message than the manifest says") == true)
    }

    @Test func `opens nothing with another key, or under another name of the key`() throws {
        let fixture = try Self.fixture()
        for (id, bytes) in [("key-1", secureRandom(32)), ("key-2", fixture.keyBytes)] {
            let key = BackupKey(id: id, secret: SecretReference(copying: bytes))
            let sink = MemorySink(limit: 1 << 20)
            let opener = StreamOpener(
                fixture.messages, key: key, from: fixture.target, to: sink, watch: StreamWatch())
            #expect(throws: BackupError.self) { try opener.run(width: 2) }
            #expect(sink.bytes == [])
        }
    }

    /// A header whose tag fits its key, but whose commitment does not: what key commitment is there to refuse.
    @Test func `checks the commitment before the tag`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        var (header, length) = try MessageHeader.parse(bytes)
        header = MessageHeader(
            messageID: header.messageID, context: header.context, wraps: header.wraps,
            frameLength: header.frameLength, commitment: someBytes(32), tag: header.tag)
        let altered = header.encoded + bytes[length...]
        let (_, error) = try Self.open(fixture, firstVolume: altered, withRecords: false)
        #expect(error?.description.contains("does not commit") == true)
    }

    @Test func `refuses frames larger than were agreed, without making room for them`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        let (header, length) = try MessageHeader.parse(bytes)
        let larger = MessageHeader(
            messageID: header.messageID, context: header.context, wraps: header.wraps, frameLength: 16 << 20,
            commitment: header.commitment, tag: header.tag)
        let (_, error) = try Self.open(fixture, firstVolume: larger.encoded + bytes[length...], withRecords: false)
        #expect(error?.description.contains("were sealed") == true)
    }

    @Test func `stops writing when whoever restores has gone`() throws {
        struct Closed: ByteSink {
            func write(from buffer: LaneBuffer) throws(BackupError) { throw BackupError(.consumer, "broken pipe") }
        }
        let fixture = try Self.fixture()
        let opener = StreamOpener(
            fixture.messages, key: fixture.key, from: fixture.target, to: Closed(), watch: StreamWatch())
        #expect(throws: BackupError(.consumer, "broken pipe")) { try opener.run(width: 2) }
    }

    @Test func `survives any bytes`() throws {
        let fixture = try Self.fixture()
        let bytes = try fixture.bytes(of: fixture.objects[0])
        for _ in 0..<500 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...6) {
                changed[Int.random(in: 0..<changed.count)] = UInt8.random(in: 0...255)
            }
            if changed == bytes { continue }
            let (released, error) = try Self.open(fixture, firstVolume: changed, withRecords: false)
            #expect(error != nil)
            #expect(fixture.plaintext.starts(with: released))
        }
    }
}
