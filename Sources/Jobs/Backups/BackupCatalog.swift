import IO

/// The complete backups of one cluster, in all targets, as their public manifests tell: needs no key.
struct BackupCatalog {
    /// A public manifest of a backup of 100 TiB is about 10 MiB.
    private static let documentLimit = 16 << 20

    struct Entry: Sendable {
        let known: PublicManifest
        let identity: BackupIdentity
        let target: any BackupTarget

        var summary: BackupSummary {
            BackupSummary(
                name: known.name, backup: known.backup, target: target.name, node: known.node,
                startedAt: known.startedAt, completedAt: known.completedAt, storedBytes: known.storedLength)
        }
    }

    let cluster: String
    let targets: [any BackupTarget]

    /// In the order of their start. One that cannot be described does not hide the others: it is given to `report`.
    func entries(
        in target: String? = nil, reporting report: (BackupIdentifier, BackupError) -> Void = { _, _ in }
    ) throws(BackupError) -> [Entry] {
        var entries: [Entry] = []
        for target in try chosen(target) {
            for backup in try target.backups(of: cluster) {
                let identity = BackupIdentity(cluster: cluster, backup: backup)
                do throws(BackupError) {
                    entries.append(Entry(known: try known(identity, in: target), identity: identity, target: target))
                } catch {
                    // One that was removed meanwhile is no backup any more.
                    if try target.backups(of: cluster).contains(backup) { report(backup, error) }
                }
            }
        }
        return entries.sorted { $0.identity.backup < $1.identity.backup }
    }

    func entry(for selector: BackupSelector, in target: String?) throws(BackupError) -> Entry {
        var unreadable: [String] = []
        let entries = try entries(in: target) { unreadable.append("\($0): \($1)") }
        switch selector.select(from: entries.map(\.known)) {
        case .selected(let known):
            guard let entry = entries.first(where: { $0.known.backup == known.backup }) else {
                throw BackupError(.internalFault, "a backup vanished from its own list")
            }
            return entry
        case .refused(let reason):
            let note = unreadable.isEmpty ? "" : " (and these cannot be read: \(unreadable.joined(separator: "; ")))"
            throw BackupError(.notFound, reason + note)
        }
    }

    func keys(of entry: Entry) throws(BackupError) -> KeyFile {
        let object = entry.identity.object(.keys)
        let keys = try JSONDocument.decode(
            KeyFile.self, from: try Self.read(object, in: entry.target), object.description)
        guard keys.schema == KeyFile.schema, keys.backup == entry.identity.backup.text else {
            throw BackupError(.corrupt, "\(object): it belongs to another backup")
        }
        // A key's name goes into the path of a call to the plane, and this file can be written by whoever has the
        // target.
        guard keys.wraps.allSatisfy({ BackupKey.isName($0.key) }) else {
            throw BackupError(.corrupt, "\(object): what it names is no key")
        }
        return keys
    }

    /// The target by that name, all of them without one.
    private func chosen(_ name: String?) throws(BackupError) -> [any BackupTarget] {
        guard let name else { return targets }
        return [try target(named: name)]
    }

    /// Where a put goes: the one named, or the only one.
    func target(named name: String?) throws(BackupError) -> any BackupTarget {
        let names = targets.map(\.name).joined(separator: ", ")
        guard !targets.isEmpty else {
            throw BackupError(.refused, "no backup target is configured: add one under 'backups: targets:'")
        }
        guard let name else {
            guard targets.count == 1 else { throw BackupError(.refused, "say which target: \(names)") }
            return targets[0]
        }
        guard let target = targets.first(where: { $0.name == name }) else {
            throw BackupError(.refused, "there is no target '\(name)', only \(names)")
        }
        return target
    }

    private func known(_ identity: BackupIdentity, in target: any BackupTarget) throws(BackupError) -> PublicManifest {
        let object = identity.object(.publicManifest)
        let known = try JSONDocument.decode(
            PublicManifest.self, from: try Self.read(object, in: target), object.description)
        guard known.schema == PublicManifest.schema, known.backup == identity.backup.text,
            known.cluster == identity.cluster, BackupName(known.name) != nil
        else { throw BackupError(.corrupt, "\(object): it describes another backup") }
        if let contradiction = known.contradiction { throw BackupError(.corrupt, "\(object): \(contradiction)") }
        return known
    }

    private static func read(_ object: BackupObject, in target: any BackupTarget) throws(BackupError) -> [UInt8] {
        let stored = try target.openObject(object)
        guard stored.length <= documentLimit else { throw BackupError(.corrupt, "\(object): longer than 16 MiB") }
        let buffer = LaneBuffer(capacity: 64 << 10)
        var bytes: [UInt8] = []
        while bytes.count <= documentLimit, try stored.read(into: buffer) > 0 {
            bytes += buffer.bytes()
            buffer.removeAll()
        }
        return bytes
    }
}
