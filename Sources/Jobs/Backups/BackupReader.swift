import IO
import OpenSSL

/// Reads one complete backup with its key. Everything it believes comes from the sealed manifest.
struct BackupReader {
    let identity: BackupIdentity
    let manifest: Manifest
    private let key: BackupKey
    private let target: any BackupTarget
    private let width: Int

    /// `known` is what made someone choose this backup; a public manifest that says otherwise than the sealed one was
    /// changed, and the choice may be wrong.
    init(
        _ known: PublicManifest, identity: BackupIdentity, key: BackupKey, from target: any BackupTarget,
        memory: StreamMemory
    ) throws(BackupError) {
        manifest = try SealedManifest.read(of: identity, key: key, from: target)
        guard known.name == manifest.name, known.startedAt == manifest.startedAt, known.node == manifest.node else {
            throw BackupError(
                .corrupt, "manifest.pub.json of \(identity.backup) does not agree with the sealed manifest")
        }
        (self.identity, self.key, self.target) = (identity, key, target)
        width = memory.width(frameLength: manifest.frameLength)
    }

    /// Releases the whole stream to `sink`, in order, each frame after it is proved.
    func restore(to sink: any ByteSink, watch: StreamWatch) throws(BackupError) -> Int64 {
        let messages = manifest.volumes.map { volume in
            SealedMessage(
                object: identity.object(.volume(volume.number)),
                context: identity.context(.data, volume: volume.number, key: key), frameLength: manifest.frameLength,
                record: volume)
        }
        let count = try StreamOpener(messages, key: key, from: target, to: sink, watch: watch).run(width: width)
        guard count == manifest.plaintextLength else {
            throw BackupError(.corrupt, "\(count) bytes came out where \(manifest.plaintextLength) went in")
        }
        return count
    }

    /// Throws what is wrong with it. Level 1: every volume is there, with its length. Level 2: and its stored bytes
    /// have their checksum. Level 3: and every frame opens, and the counts agree.
    func verify(level: Int, watch: StreamWatch) throws(BackupError) {
        for volume in manifest.volumes {
            let object = identity.object(.volume(volume.number))
            let stored = try target.openObject(object)
            guard stored.length == volume.length else {
                throw BackupError(.corrupt, "\(object): \(stored.length) bytes long, \(volume.length) were sealed")
            }
            if level == 2 { try compareChecksum(of: stored, with: volume, object, watch) }
        }
        if level >= 3 { _ = try restore(to: DiscardingSink(), watch: watch) }
    }

    private func compareChecksum(
        of stored: any StoredObject, with volume: VolumeRecord, _ object: BackupObject, _ watch: StreamWatch
    ) throws(BackupError) {
        let buffer = LaneBuffer(capacity: 1 << 20)
        var crc: UInt32 = 0
        var count: Int64 = 0
        while try stored.read(into: buffer) > 0 {
            try watch.check()
            crc = Digest.crc32c(buffer, continuing: crc)
            count += Int64(buffer.count)
            buffer.removeAll()
            watch.turnEnded()
        }
        guard count == volume.length, hexadecimal(bigEndian(crc)) == volume.crc32c else {
            throw BackupError(.corrupt, "\(object): its stored bytes were changed")
        }
    }
}

/// How much memory one stream may hold, and so how many frames it works on at once.
package struct StreamMemory: Sendable {
    let bytes: Int
    let coreCount: Int

    /// Three batches of frames, each with its plaintext and its ciphertext. At least one frame a batch, whatever the
    /// limit says: a backup with larger frames than ours must be readable.
    func width(frameLength: Int) -> Int { max(1, min(coreCount, bytes / (6 * (frameLength + Frame.overhead)))) }
}
