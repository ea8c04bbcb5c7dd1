import IO
import Reports

/// Backups in a bucket (`s3://bucket/prefix`) of S3 or a store that speaks its protocol.
package struct S3Target: BackupTarget {
    package let name: String
    private let store: S3Store

    init(name: String, settings: S3Settings, memory: PartMemory) throws(BackupError) {
        self.name = name
        do throws(BackupError) {
            store = S3Store(name: name, client: try S3Client(settings, name: name), memory: memory)
        } catch { throw error.adding("target \(name)") }
    }

    package func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter {
        try S3Upload(store.key(of: object), in: store)
    }

    package func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) {
        try S3Upload(store.key(of: object), in: store).put(SealedPayload(document))
    }

    package func openObject(_ object: BackupObject) throws(BackupError) -> any StoredObject {
        try S3Object(object, in: store)
    }

    package func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] {
        var complete: [BackupIdentifier] = []
        for backup in try identifiers(in: cluster) where try hasManifest(backup, cluster) { complete.append(backup) }
        return complete
    }

    package func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) {
        try attempt { () throws(S3Failure) in
            let identity = BackupIdentity(cluster: cluster, backup: backup)
            for part in [BackupObject.Part.manifest, .publicManifest, .keys] {
                try store.delete(store.key(of: identity.object(part)))
            }
            let folder = folder(of: backup, cluster)
            // By name, never by prefix: what is not ours stays.
            let keys = try store.list(folder).objects.map(\.key)
            for key in keys.reversed() where isVolume(key.dropFirst(folder.count)) { try store.delete(key) }
            for upload in try store.uploads(folder) { try store.abort(upload.upload, of: upload.key) }
        }
    }

    package func sweep(
        _ cluster: String, untouchedSince moment: Timestamp
    ) throws(BackupError) -> [BackupIdentifier] {
        var swept: [BackupIdentifier] = []
        let backups = try identifiers(in: cluster)
        // A store that was asked has refused a clock that is far from its own.
        let moment = store.client.byItsClock(moment)
        for backup in backups {
            guard try !hasManifest(backup, cluster) else { continue }
            let objects = try attempt { () throws(S3Failure) in try store.list(folder(of: backup, cluster)).objects }
            // Both are UTC in RFC 3339, so that text says what is older; one without a time may be new.
            guard objects.allSatisfy({ isOlder($0.modified, than: moment) }) else { continue }
            try remove(backup, of: cluster)
            swept.append(backup)
        }
        try abortOrphans(cluster, begunBefore: moment)
        return swept
    }

    package func close() async { await store.client.close() }

    package func limitBandwidth(to rate: Int?) { store.client.limitBandwidth(to: rate) }

    /// Uploads that nobody completes any more cost money and are in no list of objects.
    private func abortOrphans(_ cluster: String, begunBefore moment: Timestamp) throws(BackupError) {
        try attempt { () throws(S3Failure) in
            let folder = clusterFolder(cluster)
            for upload in try store.uploads(folder) where isOlder(upload.initiated, than: moment) {
                let backup = upload.key.dropFirst(folder.count).prefix { $0 != "/" }
                guard BackupIdentifier(String(backup)) != nil else { continue }
                try store.abort(upload.upload, of: upload.key)
            }
        }
    }

    private func isOlder(_ time: String, than moment: Timestamp) -> Bool {
        time.utf8.count >= 19 && time.prefix(19) < moment.description.prefix(19)
    }

    private func isVolume(_ name: Substring) -> Bool {
        let digits = name.dropFirst("v/".count).dropLast(".ngb".count)
        return name.hasPrefix("v/") && name.hasSuffix(".ngb") && digits.utf8.count >= 6
            && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private func identifiers(in cluster: String) throws(BackupError) -> [BackupIdentifier] {
        let start = clusterFolder(cluster)
        let folders = try attempt { () throws(S3Failure) in try store.list(start, delimiter: "/").folders }
        return folders.compactMap { folder in
            guard folder.hasPrefix(start), folder.hasSuffix("/") else { return nil }
            return BackupIdentifier(String(folder.dropFirst(start.count).dropLast()))
        }
    }

    private func hasManifest(_ backup: BackupIdentifier, _ cluster: String) throws(BackupError) -> Bool {
        let object = BackupObject(cluster: cluster, backup: backup, part: .manifest)
        return try attempt { () throws(S3Failure) in try store.find(store.key(of: object)) } != nil
    }

    private func clusterFolder(_ cluster: String) -> String {
        store.settings.key(of: BackupObject.folder(of: cluster)) + "/"
    }

    private func folder(of backup: BackupIdentifier, _ cluster: String) -> String {
        clusterFolder(cluster) + "\(backup)/"
    }

    private func attempt<Result>(_ body: () throws(S3Failure) -> Result) throws(BackupError) -> Result {
        do throws(S3Failure) { return try body() } catch { throw error.error(in: name) }
    }
}
