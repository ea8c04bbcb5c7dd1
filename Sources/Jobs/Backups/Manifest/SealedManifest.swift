import IO
import Synchronization

/// The manifest as an object of its own: sealed like the data, in one message, small enough to be held in memory.
enum SealedManifest {
    private static let layout = StreamLayout.standard

    static func write(
        _ manifest: Manifest, of identity: BackupIdentity, key: BackupKey, to target: any BackupTarget
    ) throws(BackupError) {
        let bytes = try JSONDocument.encode(manifest)
        let sealer = StreamSealer(
            .manifest, of: identity, key: key, layout: layout, from: MemorySource(bytes), to: target,
            watch: StreamWatch())
        _ = try sealer.run(width: 1)
    }

    static func read(
        of identity: BackupIdentity, key: BackupKey, from target: any BackupTarget
    ) throws(BackupError) -> Manifest {
        let object = identity.object(.manifest)
        let message = SealedMessage(
            object: object, context: identity.context(.manifest, volume: 0, key: key), frameLength: layout.frameLength,
            record: nil)
        let sink = MemorySink(limit: JSONDocument.byteLimit)
        _ = try StreamOpener([message], key: key, from: target, to: sink, watch: StreamWatch()).run(width: 1)
        let manifest = try JSONDocument.decode(Manifest.self, from: sink.bytes, object.description)
        guard manifest.backup == identity.backup.text, manifest.cluster == identity.cluster,
            manifest.keyName == key.id
        else { throw BackupError(.corrupt, "\(object): it describes another backup") }
        if let contradiction = manifest.contradiction { throw BackupError(.corrupt, "\(object): \(contradiction)") }
        return manifest
    }
}

/// Bytes that are all there.
final class MemorySource: ByteSource {
    private let rest: Mutex<ArraySlice<UInt8>>

    init(_ bytes: [UInt8]) { rest = Mutex(bytes[...]) }

    func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        let next = rest.withLock { rest in
            let next = Array(rest.prefix(buffer.freeCount))
            rest = rest.dropFirst(next.count)
            return next
        }
        buffer.append(next)
        return next.count
    }
}

/// Keeps what it is given, up to a limit.
final class MemorySink: ByteSink {
    private let limit: Int
    private let kept = Mutex<[UInt8]>([])

    init(limit: Int) { self.limit = limit }

    var bytes: [UInt8] { kept.withLock { $0 } }

    func write(from buffer: LaneBuffer) throws(BackupError) {
        let bytes = buffer.bytes()
        buffer.removeAll()
        try kept.withLock { kept throws(BackupError) in
            guard kept.count + bytes.count <= limit else {
                throw BackupError(.corrupt, "longer than \(limit) bytes")
            }
            kept += bytes
        }
    }
}
