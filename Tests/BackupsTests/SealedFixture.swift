import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport

@testable import Backups

/// Bytes that differ from place to place, so that nothing can be swapped unnoticed.
func someBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        withUnsafeBytes(of: state) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
}

/// A stream that was sealed into a folder, with what is needed to read it back, or to try.
struct SealedFixture {
    let folder: TemporaryDirectory
    let target: FileTarget
    let identity: BackupIdentity
    let key: BackupKey
    let keyBytes: [UInt8]
    let layout: StreamLayout
    let plaintext: [UInt8]
    let sealed: SealedStream

    init(
        _ plaintext: [UInt8], layout: StreamLayout = StreamLayout(frameLength: 64, framesPerVolume: 4), width: Int = 2,
        keyID: String = "key-1", keyBytes: [UInt8]? = nil, identity: BackupIdentity? = nil
    ) throws {
        self.plaintext = plaintext
        self.layout = layout
        self.keyBytes = keyBytes ?? secureRandom(32)
        folder = try temporaryDirectory()
        target = FileTarget(name: "local", root: folder.file("backups"))
        self.identity = identity ?? BackupIdentity(cluster: "cluster-a", backup: BackupIdentifier())
        key = BackupKey(id: keyID, secret: SecretReference(copying: self.keyBytes))
        sealed = try StreamSealer(
            .data, of: self.identity, key: key, layout: layout, from: MemorySource(plaintext), to: target,
            watch: StreamWatch()
        ).run(width: width, allowsEmpty: true)
    }

    var objects: [BackupObject] { sealed.volumes.map { identity.object(.volume($0.number)) } }

    func bytes(of object: BackupObject) throws -> [UInt8] {
        try Files.read("\(target.root)/\(object.path)", limit: 16 << 20)
    }

    /// What the reader expects, as the manifest would say it.
    var messages: [SealedMessage] {
        sealed.volumes.map { volume in
            SealedMessage(
                object: identity.object(.volume(volume.number)),
                context: identity.context(.data, volume: volume.number, key: key), frameLength: layout.frameLength,
                record: volume)
        }
    }

    /// As a reader that knows no manifest: the message alone must stand up to changes.
    var messagesWithoutRecords: [SealedMessage] {
        messages.map {
            SealedMessage(object: $0.object, context: $0.context, frameLength: $0.frameLength, record: nil)
        }
    }

    /// Opens `messages` from `target`; what came out, and the error that ended it.
    func open(
        _ messages: [SealedMessage]? = nil, from target: (any BackupTarget)? = nil, width: Int = 2
    ) -> (released: [UInt8], error: BackupError?) {
        let sink = MemorySink(limit: 16 << 20)
        let opener = StreamOpener(
            messages ?? self.messages, key: key, from: target ?? self.target, to: sink, watch: StreamWatch())
        do throws(BackupError) {
            _ = try opener.run(width: width)
            return (sink.bytes, nil)
        } catch { return (sink.bytes, error) }
    }
}

/// Stored objects as somebody else left them.
final class AlteredTarget: BackupTarget {
    let name = "altered"
    private let objects: [BackupObject: [UInt8]]

    init(_ objects: [BackupObject: [UInt8]]) { self.objects = objects }

    func openObject(_ object: BackupObject) throws(BackupError) -> any Backups.StoredObject {
        guard let bytes = objects[object] else { throw BackupError(.corrupt, "\(object) is missing") }
        return AlteredObject(bytes)
    }

    func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter { throw Self.readOnly }
    func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) { throw Self.readOnly }
    func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] { [] }
    func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) { throw Self.readOnly }
    func sweep(
        _ cluster: String, untouchedSince moment: Timestamp
    ) throws(BackupError) -> [BackupIdentifier] { [] }

    private static let readOnly = BackupError(.target, "read only")
}

private final class AlteredObject: Backups.StoredObject {
    let length: Int64
    private let source: MemorySource

    init(_ bytes: [UInt8]) {
        length = Int64(bytes.count)
        source = MemorySource(bytes)
    }

    func read(into buffer: LaneBuffer) throws(BackupError) -> Int { try source.read(into: buffer) }
}
