import IO
import OpenSSL
import Reports
import TestSupport

@testable import Backups

extension FuzzTarget {
    /// Whatever was done to a stored message: what comes out is a beginning of what went in, frame by frame, and all of
    /// it if and only if no error ends it.
    static let sealedStream = FuzzTarget("sealed-stream", longest: 8192) {
        [try SealedSample.shared.get().sealed]
    } check: { input in
        let sample = try SealedSample.shared.get()
        let sink = MemorySink(limit: 1 << 20)
        let opener = StreamOpener(
            [sample.message], key: sample.key, from: OneObject(input), to: sink, watch: StreamWatch())
        let end = Result { () throws(BackupError) in try opener.run(width: 2) }
        switch end {
        case .success: try promise(sink.bytes == SealedSample.plaintext, "opened, and is not what was sealed")
        case .failure:
            try promise(SealedSample.plaintext.starts(with: sink.bytes), "something was released that never went in")
            try promise(sink.bytes.count % SealedSample.frameLength == 0, "a part of a frame was released")
        }
    }
}

/// One message of a few small frames. Key and plaintext are always the same, so that an input found once stays good.
struct SealedSample: Sendable {
    static let shared = Result { try SealedSample() }
    static let frameLength = 64
    static let plaintext = (0..<(5 * frameLength + 10)).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) }

    let key = BackupKey(id: "key-1", secret: SecretReference(copying: [UInt8](repeating: 0x5A, count: 32)))
    let sealed: [UInt8]
    let headerLength: Int
    let message: SealedMessage

    private init() throws {
        guard let backup = BackupIdentifier("01890000-0000-7000-8000-000000000001") else {
            throw TestSupportError("no identifier")
        }
        let identity = BackupIdentity(cluster: "cluster-a", backup: backup)
        let folder = try TemporaryDirectory()
        let target = FileTarget(name: "local", root: folder.path)
        _ = try StreamSealer(
            .data, of: identity, key: key, layout: StreamLayout(frameLength: Self.frameLength, framesPerVolume: 16),
            from: MemorySource(Self.plaintext), to: target, watch: StreamWatch()
        ).run(width: 1)
        let object = identity.object(.volume(0))
        sealed = try Files.read("\(folder.path)/\(object.path)", limit: 1 << 20)
        headerLength = try MessageHeader.parse(sealed).length
        message = SealedMessage(
            object: object, context: identity.context(.data, volume: 0, key: key), frameLength: Self.frameLength,
            record: nil)
    }
}

/// A target that holds these bytes, whatever object is asked for.
private struct OneObject: BackupTarget {
    private final class Stored: StoredObject {
        let length: Int64
        private let source: MemorySource

        init(_ bytes: [UInt8]) {
            length = Int64(bytes.count)
            source = MemorySource(bytes)
        }

        func read(into buffer: LaneBuffer) throws(BackupError) -> Int { try source.read(into: buffer) }
    }

    let name = "one"
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func openObject(_ object: BackupObject) throws(BackupError) -> any StoredObject { Stored(bytes) }
    func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter { throw Self.readOnly }
    func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) { throw Self.readOnly }
    func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] { [] }
    func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) { throw Self.readOnly }
    func sweep(_ cluster: String, untouchedSince moment: Timestamp) throws(BackupError) -> [BackupIdentifier] { [] }

    private static let readOnly = BackupError(.target, "read only")
}
