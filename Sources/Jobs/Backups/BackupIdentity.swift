/// Whose backup it is, and which: what every object of it is bound to.
package struct BackupIdentity: Hashable, Sendable {
    package let cluster: String
    package let backup: BackupIdentifier

    package init(cluster: String, backup: BackupIdentifier) {
        self.cluster = cluster
        self.backup = backup
    }

    func object(_ part: BackupObject.Part) -> BackupObject {
        BackupObject(cluster: cluster, backup: backup, part: part)
    }

    func context(_ kind: MessageKind, volume: Int, key: BackupKey) -> EncryptionContext {
        EncryptionContext(cluster: cluster, backup: backup, kind: kind, volume: volume, keyName: key.id)
    }
}
