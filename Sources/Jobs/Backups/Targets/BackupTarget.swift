import IO
import Reports

/// Where backups are kept. Knows objects and their names, never a key or a plaintext: of a stream it is given
/// `SealedPart`s only, and of the rest `PublicDocument`s.
package protocol BackupTarget: Sendable {
    var name: String { get }

    /// A new object; it is an error if one by that name is there.
    func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter
    func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError)
    func openObject(_ object: BackupObject) throws(BackupError) -> any StoredObject
    /// Complete backups only: those with a manifest.
    func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier]
    /// The manifest first: a removal that is interrupted leaves no backup, and is ended by the next sweep.
    func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError)
    /// Removes what unfinished backups left behind, if nothing of it was written since `moment`.
    func sweep(_ cluster: String, untouchedSince moment: Timestamp) throws(BackupError) -> [BackupIdentifier]
    /// Bytes a second from now on, of all streams together; nil: no limit.
    func limitBandwidth(to rate: Int?)
    /// No call comes after it.
    func close() async
}

extension BackupTarget {
    package func limitBandwidth(to rate: Int?) {}
    package func close() async {}
}

/// An object that is being stored. Nobody can see it before it is complete and durable.
package protocol SealedObjectWriter: Sendable {
    func append(_ part: SealedPart) throws(BackupError)
    /// Durable and visible from now on.
    func complete() throws(BackupError)
    func abandon()
}

/// A stored object, read from its start.
package protocol StoredObject: ByteSource {
    var length: Int64 { get }
}
