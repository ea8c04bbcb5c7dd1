import FoundationEssentials
import Reports

/// Makes one backup: volumes first, what anybody may know of it next, and the sealed manifest last.
struct BackupWriter {
    let identity: BackupIdentity
    let name: BackupName
    let node: String
    let version: String
    let created: CreatedBackupKey
    let target: any BackupTarget
    let layout: StreamLayout
    /// How many frames are sealed at once.
    let width: Int

    /// Stores the whole of `source` sealed; nothing of it is a backup yet.
    func seal(
        _ source: any ByteSource, allowsEmpty: Bool, watch: StreamWatch
    ) throws(BackupError) -> SealedStream {
        try StreamSealer(.data, of: identity, key: created.key, layout: layout, from: source, to: target, watch: watch)
            .run(width: width, allowsEmpty: allowsEmpty)
    }

    /// From its return on, the backup exists.
    func complete(_ sealed: SealedStream, producer: ProducerRecord) throws(BackupError) -> PublicManifest {
        let manifest = manifest(of: sealed, producer: producer)
        if let contradiction = manifest.contradiction { throw BackupError(.internalFault, contradiction) }
        let known = publicManifest(of: manifest)
        let keys = KeyFile(
            schema: KeyFile.schema, backup: identity.backup.text,
            wraps: [
                .init(kind: KeyFile.planeKind, key: created.key.id, kek: created.kek, wrapped: Data(created.wrapped))
            ])
        try target.store(PublicDocument(keys), as: identity.object(.keys))
        try target.store(PublicDocument(known), as: identity.object(.publicManifest))
        try SealedManifest.write(manifest, of: identity, key: created.key, to: target)
        return known
    }

    /// Removes what was stored.
    func abandon() throws(BackupError) { try target.remove(identity.backup, of: identity.cluster) }

    private func manifest(of sealed: SealedStream, producer: ProducerRecord) -> Manifest {
        Manifest(
            schema: Manifest.schema, backup: identity.backup.text, cluster: identity.cluster, node: node,
            name: name.text, startedAt: identity.backup.start.description, completedAt: Timestamp.now.description,
            keyName: created.key.id, compression: "none", frameLength: layout.frameLength,
            plaintextLength: sealed.plaintextLength, ciphertextLength: sealed.ciphertextLength, frames: sealed.frames,
            volumes: sealed.volumes, producer: producer, version: version)
    }

    private func publicManifest(of manifest: Manifest) -> PublicManifest {
        PublicManifest(
            schema: PublicManifest.schema, backup: manifest.backup, cluster: manifest.cluster, node: manifest.node,
            name: manifest.name, startedAt: manifest.startedAt, completedAt: manifest.completedAt,
            keyName: manifest.keyName,
            objects: manifest.volumes.map { volume in
                .init(
                    object: identity.object(.volume(volume.number)).name, length: volume.length, crc32c: volume.crc32c)
            })
    }
}
