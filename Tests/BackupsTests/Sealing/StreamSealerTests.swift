import IO
import OpenSSL
import Reports
import Synchronization
import Testing

@testable import Backups

@Suite struct `A sealed stream` {
    static let mebibyte = 1 << 20

    @Test(arguments: [
        0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 2 * mebibyte + 7, 7 * mebibyte, 9 * mebibyte + 5,
    ])
    func `of any size comes back byte for byte`(_ size: Int) throws {
        let fixture = try SealedFixture(someBytes(size), layout: .standard)
        let (released, error) = fixture.open()
        #expect(error == nil)
        #expect(released == fixture.plaintext)
        let frames = max(1, (size + Self.mebibyte - 1) / Self.mebibyte)
        #expect(fixture.sealed.frames == frames, "an exact multiple has a full final frame, and none after it")
    }

    @Test(arguments: [1, 2, 3, 5])
    func `is divided the same whatever the number of workers`(_ width: Int) throws {
        // Volumes of 4 frames of 64 bytes: below, at and above each border.
        for size in [0, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1024, 1031] {
            let fixture = try SealedFixture(someBytes(size), width: width)
            let volumes = fixture.sealed.volumes
            #expect(volumes.count == max(1, (size + 255) / 256))
            #expect(volumes.map(\.number) == Array(0..<volumes.count))
            #expect(volumes.map(\.plaintextLength).reduce(0, +) == Int64(size))
            #expect(volumes.dropLast().allSatisfy { $0.frames == 4 && $0.plaintextLength == 256 })
            let (released, error) = fixture.open(width: width)
            #expect(error == nil)
            #expect(released == fixture.plaintext)
        }
    }

    @Test func `is recorded with lengths and checksums that others can check`() throws {
        let fixture = try SealedFixture(someBytes(600))
        for (volume, object) in zip(fixture.sealed.volumes, fixture.objects) {
            let bytes = try fixture.bytes(of: object)
            #expect(volume.length == Int64(bytes.count))
            #expect(volume.crc32c == hexadecimal(bigEndian(Digest.crc32c(bytes))))
            let tags = try Self.tags(of: bytes)
            #expect(tags.count == volume.frames)
            #expect(volume.tagsSHA256 == hexadecimal(Digest.sha256(tags.flatMap { $0 })))
        }
    }

    @Test func `shows nothing of its plaintext, and never repeats a key or message id`() throws {
        let plaintext = [UInt8](repeating: 0x41, count: 1000)
        let one = try SealedFixture(plaintext)
        let other = try SealedFixture(plaintext, keyBytes: one.keyBytes, identity: one.identity)
        var identifiers: Set<[UInt8]> = []
        var wraps: Set<[UInt8]> = []
        for fixture in [one, other] {
            for object in fixture.objects {
                let bytes = try fixture.bytes(of: object)
                #expect(!bytes.indices.dropLast(8).contains { bytes[$0..<($0 + 8)].allSatisfy { $0 == 0x41 } })
                let header = try MessageHeader.parse(bytes).header
                identifiers.insert(header.messageID)
                wraps.formUnion(header.wraps.map(\.wrapped))
            }
        }
        let count = one.objects.count + other.objects.count
        #expect(identifiers.count == count && wraps.count == count)
    }

    @Test func `that is empty leaves nothing unless it was allowed`() throws {
        let fixture = try SealedFixture([])
        #expect(fixture.sealed.volumes.map(\.plaintextLength) == [0])
        let identity = BackupIdentity(cluster: "cluster-a", backup: BackupIdentifier())
        let nothing = try StreamSealer(
            .data, of: identity, key: fixture.key, layout: .standard, from: MemorySource([]), to: fixture.target,
            watch: StreamWatch()
        ).run(width: 2)
        #expect(nothing.volumes.isEmpty)
        #expect(!Files.exists("\(fixture.target.root)/cluster-a/\(identity.backup)"))
    }

    @Test func `holds a few frames in memory, however long it is`() throws {
        /// Never ends, and counts what is taken from it.
        final class Endless: ByteSource {
            let taken = Mutex(0)

            func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
                let count = buffer.freeCount
                buffer.append([UInt8](repeating: 7, count: count))
                taken.withLock { $0 += count }
                return count
            }
        }
        let fixture = try SealedFixture([1])
        let source = Endless()
        let target = StallingTarget(fixture.target, failAfter: 10)
        let sealer = StreamSealer(
            .data, of: BackupIdentity(cluster: "c", backup: BackupIdentifier()), key: fixture.key,
            layout: StreamLayout(frameLength: 4096, framesPerVolume: 1000), from: source, to: target,
            watch: StreamWatch())
        #expect(throws: BackupError(.target, "full")) { try sealer.run(width: 3) }
        // Header and nine frames were stored; three batches of three frames may be under way.
        let taken = source.taken.withLock { $0 / 4096 }
        #expect(taken >= 9 && taken <= 9 + 9 + 2)
    }

    @Test func `stops when its source fails, and says what the source said`() throws {
        struct Failing: ByteSource {
            func read(into buffer: LaneBuffer) throws(BackupError) -> Int { throw BackupError(.producer, "gone") }
        }
        let fixture = try SealedFixture([1])
        let sealer = StreamSealer(
            .data, of: BackupIdentity(cluster: "c", backup: BackupIdentifier()), key: fixture.key, layout: .standard,
            from: Failing(), to: fixture.target, watch: StreamWatch())
        #expect(throws: BackupError(.producer, "gone")) { try sealer.run(width: 2) }
    }

    @Test func `stops when it is cancelled`() throws {
        let fixture = try SealedFixture([1])
        let watch = StreamWatch()
        watch.cancel(BackupError(.cancelled, "no more"))
        watch.cancel(BackupError(.cancelled, "a later reason"))
        let sealer = StreamSealer(
            .data, of: BackupIdentity(cluster: "c", backup: BackupIdentifier()), key: fixture.key, layout: .standard,
            from: MemorySource(someBytes(100)), to: fixture.target, watch: watch)
        #expect(throws: BackupError(.cancelled, "no more")) { try sealer.run(width: 2) }
    }

    @Test func `has the same checksum whether reckoned in one piece or in many`() {
        for (first, second) in [(0, 0), (0, 5), (5, 0), (1, 1), (100, 1000), (4096, 3), (70_000, 65_537)] {
            let (left, right) = (someBytes(first, seed: 3), someBytes(second, seed: 4))
            let combined = combinedCRC32C(Digest.crc32c(left), Digest.crc32c(right), secondLength: second)
            #expect(combined == Digest.crc32c(left + right))
        }
    }

    /// The tags, found as somebody without the key finds them.
    static func tags(of message: [UInt8]) throws -> [[UInt8]] {
        let (header, headerLength) = try MessageHeader.parse(message)
        var offset = headerLength
        var tags: [[UInt8]] = []
        while offset < message.count {
            let isFinal = Array(message[offset..<(offset + 4)]) == bigEndian(Frame.finalMark)
            let prefix = isFinal ? Frame.finalPrefixLength : Frame.regularPrefixLength
            let frame = try Frame.parse(
                prefix: Array(message[offset..<(offset + prefix)]), frameLength: header.frameLength)
            offset += frame.encodedLength
            tags.append(Array(message[(offset - Frame.tagLength)..<offset]))
        }
        return tags
    }
}

/// Passes on to a target until it has stored so many parts, then fails as a full one does.
final class StallingTarget: BackupTarget {
    let name = "stalling"
    private let target: FileTarget
    private let failAfter: Int

    init(_ target: FileTarget, failAfter: Int) {
        self.target = target
        self.failAfter = failAfter
    }

    func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter {
        Writer(try target.makeObject(object), failAfter)
    }
    func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) {
        try target.store(document, as: object)
    }
    func openObject(_ object: BackupObject) throws(BackupError) -> any Backups.StoredObject {
        try target.openObject(object)
    }
    func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] { try target.backups(of: cluster) }
    func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) {
        try target.remove(backup, of: cluster)
    }
    func sweep(
        _ cluster: String, untouchedSince moment: Timestamp
    ) throws(BackupError) -> [BackupIdentifier] { try target.sweep(cluster, untouchedSince: moment) }

    private final class Writer: SealedObjectWriter {
        private let writer: any SealedObjectWriter
        private let left: Mutex<Int>

        init(_ writer: any SealedObjectWriter, _ limit: Int) {
            self.writer = writer
            left = Mutex(limit)
        }

        func append(_ part: SealedPart) throws(BackupError) {
            let isFull = left.withLock { left in
                left -= 1
                return left < 0
            }
            if isFull { throw BackupError(.target, "full") }
            try writer.append(part)
        }
        func complete() throws(BackupError) { try writer.complete() }
        func abandon() { writer.abandon() }
    }
}
