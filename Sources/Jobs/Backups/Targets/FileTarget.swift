import FoundationEssentials
import IO
import Reports

/// Backups in a folder (`file:///path`). An object is written under a temporary name, fsynced, renamed and its folder
/// fsynced: it is there as a whole or not at all.
package struct FileTarget: BackupTarget {
    package let name: String
    let root: String

    /// The path of a `file://` URL, which is absolute and has no host.
    package static func path(of url: String) -> String? {
        guard url.hasPrefix("file:///"), let path = URL(string: url)?.path(percentEncoded: false),
            path.hasPrefix("/"), !path.utf8.contains(0)
        else { return nil }
        return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    package init(name: String, root: String) {
        self.name = name
        self.root = root
    }

    package func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter {
        try makeFile(object)
    }

    package func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) {
        let file = try makeFile(object)
        do throws(BackupError) {
            try file.append(document)
            try file.complete()
        } catch {
            file.abandon()
            throw error
        }
    }

    package func openObject(_ object: BackupObject) throws(BackupError) -> any StoredObject {
        let path = "\(root)/\(object.path)"
        guard Files.exists(path) else { throw BackupError(.corrupt, "\(object) is missing in target \(name)") }
        return try attempt { () throws(IOError) in
            StoredFile(try Files.openForReading(path), length: try Files.size(path), path: path)
        }
    }

    package func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] {
        try identifiers(in: cluster).filter { hasManifest($0, cluster) }
    }

    package func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) {
        let identity = BackupIdentity(cluster: cluster, backup: backup)
        let folder = self.folder(backup, cluster)
        try attempt { () throws(IOError) in
            for part in [BackupObject.Part.manifest, .publicManifest, .keys] {
                let path = "\(root)/\(identity.object(part).path)"
                guard Files.exists(path) else { continue }
                try Files.remove(path)
                // Durable before anything it speaks of goes.
                try Files.synchronizeDirectory(folder)
            }
            let volumes = "\(folder)/v"
            if Files.exists(volumes) {
                for name in try Files.list(volumes).reversed() { try Files.removeTree("\(volumes)/\(name)") }
            }
            if Files.exists(folder) {
                try Files.removeTree(folder)
                try Files.synchronizeDirectory(clusterFolder(cluster))
            }
        }
    }

    package func sweep(
        _ cluster: String, untouchedSince moment: Timestamp
    ) throws(BackupError) -> [BackupIdentifier] {
        var swept: [BackupIdentifier] = []
        for backup in try identifiers(in: cluster)
        where !hasManifest(backup, cluster) && lastChange(backup, cluster) < moment {
            try remove(backup, of: cluster)
            swept.append(backup)
        }
        return swept
    }

    /// The newest time of the backup's folders and files; now if that cannot be told.
    private func lastChange(_ backup: BackupIdentifier, _ cluster: String) -> Timestamp {
        let folder = self.folder(backup, cluster)
        let volumes = ((try? Files.list("\(folder)/v")) ?? []).map { "\(folder)/v/\($0)" }
        let times = ([folder, "\(folder)/v"] + volumes).filter(Files.exists).map { path in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            let date = attributes?[.modificationDate] as? Date
            return date.map { Timestamp(seconds: Int64($0.timeIntervalSince1970)) } ?? .now
        }
        return times.max() ?? .now
    }

    private func identifiers(in cluster: String) throws(BackupError) -> [BackupIdentifier] {
        let folder = clusterFolder(cluster)
        guard Files.exists(folder) else { return [] }
        return try attempt { () throws(IOError) in try Files.list(folder).compactMap { BackupIdentifier($0) } }
    }

    private func hasManifest(_ backup: BackupIdentifier, _ cluster: String) -> Bool {
        Files.exists("\(root)/\(BackupObject(cluster: cluster, backup: backup, part: .manifest).path)")
    }

    private func clusterFolder(_ cluster: String) -> String { "\(root)/\(BackupObject.folder(of: cluster))" }

    private func folder(_ backup: BackupIdentifier, _ cluster: String) -> String {
        "\(clusterFolder(cluster))/\(backup)"
    }

    private func makeFile(_ object: BackupObject) throws(BackupError) -> FileObject {
        let path = "\(root)/\(object.path)"
        return try attempt { () throws(IOError) in
            let folder = Files.folder(of: path)
            if !Files.exists(folder) { try makeFolder(folder) }
            return try FileObject(path: path, target: name)
        }
    }

    /// Each new folder's name is durable in the one above it, up to the root.
    private func makeFolder(_ folder: String) throws(IOError) {
        try Files.makeDirectory(folder, mode: 0o700)
        var path = folder
        while path != root, path != "/" {
            path = Files.folder(of: path)
            try Files.synchronizeDirectory(path)
        }
    }

    private func attempt<Result>(_ body: () throws(IOError) -> Result) throws(BackupError) -> Result {
        do throws(IOError) {
            return try body()
        } catch { throw BackupError(.target, "target \(name): \(error)") }
    }
}
