import FoundationEssentials
import Glibc

/// Makes a plane of a backup, in a folder (and a database) where there is none: everything is read and verified before
/// anything is written, and the folder is there under its name only when it is whole.
struct StateRestore {
    let file: String
    let key: OperatorPrivateKey
    let directory: String
    /// nil: a file in the folder.
    let url: String?
    /// What nodes have from the plane that is lost.
    let lists: [LostRevocationList]
    let now: Int64

    struct Outcome {
        let manifest: BackupManifest
        let restoration: Restoration
        let taken: LostRevocationList.Taken
    }

    func run() throws -> Outcome {
        umask(0o077)
        let manifest = try verify()
        try requireNothing()
        let aside = "\(directory).restoring.\(getpid())"
        guard mkdir(aside, 0o700) == 0 else { throw StateFile.problem("make the folder", aside) }
        do {
            try writeFiles(manifest, to: aside)
            let address = try url.map { try PostgresAddress($0) }
            if let url { try StateFile.write(Array((url + "\n").utf8), to: aside + "/database") }
            let restoration = Restoration(
                backupAt: manifest.createdAt, restoredAt: now, logSize: manifest.logSize, plane: manifest.plane)
            do {
                let store = try address.map { PlaneStore.postgresql($0) } ?? .sqlite(path: aside + "/plane.sqlite")
                try fill(store, manifest, restoration)
            }
            do {
                let taken = try finish(aside, address, restoration)
                guard rename(aside, directory) == 0 else { throw StateFile.problem("rename to", directory) }
                try StateFile.synchronizeFolder(of: directory)
                return Outcome(manifest: manifest, restoration: restoration, taken: taken)
            } catch {
                // A file goes with the folder. Where this fails too, the next restore sees that nothing was finished.
                if let address { try? UnfinishedRestore.clear(.postgresql(address)) }
                throw error
            }
        } catch {
            try? FileManager.default.removeItem(atPath: aside)
            throw error
        }
    }

    // MARK: what is read

    /// All of it, to its end.
    private func verify() throws -> BackupManifest {
        let (manifest, reader) = try begin()
        let known = PlaneSchema.migrator.migrations.map(\.name)
        guard manifest.format == BackupManifest.format,
            Array(known.prefix(manifest.migrations.count)) == manifest.migrations
        else { throw BackupRecord.malformed }
        for entry in manifest.files {
            guard case .file(let bytes) = try BackupRecord(from: reader), StateFolder.digest(bytes) == entry.sha256,
                StateFolder.isSafe(entry.path)
            else { throw BackupRecord.malformed }
        }
        var counts: [String: Int64] = [:]
        try forEachRow(reader) { table, _ in counts[table.name, default: 0] += 1 }
        guard counts == manifest.tables.filter({ $0.value > 0 }), try reader.read(1).isEmpty else {
            throw BackupRecord.malformed
        }
        return manifest
    }

    private func begin() throws -> (BackupManifest, SealedFileReader) {
        let reader = try SealedFileReader(file, key: key)
        guard case .manifest(let manifest) = try BackupRecord(from: reader) else { throw BackupRecord.malformed }
        return (manifest, reader)
    }

    private func forEachRow(_ reader: SealedFileReader, _ body: (BackupTable, [DatabaseValue]) throws -> Void) throws {
        var table: BackupTable?
        while true {
            switch try BackupRecord(from: reader) {
            case .table(let next): table = next
            case .row(let values):
                guard let table, values.count == table.columns.count else { throw BackupRecord.malformed }
                try body(table, values)
            case .end: return
            case .manifest, .file: throw BackupRecord.malformed
            }
        }
    }

    // MARK: what is written

    private func requireNothing() throws {
        if StateFile.exists(directory), try !FileManager.default.contentsOfDirectory(atPath: directory).isEmpty {
            throw PlaneProblem(
                "\(directory) is not empty", remedy: "nothing was restored; name a folder that is not there yet")
        }
        guard let address = try url.map({ try PostgresAddress($0) }) else { return }
        let store = PlaneStore.postgresql(address)
        // Makes what every transaction needs.
        try store.backEnd.migrate([])
        if try store.read({ try UnfinishedRestore.isIn($0) }) { try UnfinishedRestore.clear(store) }
        guard try store.read({ try StateTables.areEmpty($0) }) else {
            throw PlaneProblem(
                "\(address.description) holds a plane already", remedy: "nothing was restored; name an empty database")
        }
    }

    private func writeFiles(_ manifest: BackupManifest, to aside: String) throws {
        let (_, reader) = try begin()
        try StateFile.makeFolder(aside + "/authorities")
        for entry in manifest.files {
            guard case .file(let bytes) = try BackupRecord(from: reader) else { throw BackupRecord.malformed }
            var folder = aside
            for part in entry.path.split(separator: "/").dropLast() {
                folder += "/\(part)"
                try StateFile.makeFolder(folder)
            }
            try StateFile.write(bytes, to: "\(aside)/\(entry.path)")
        }
    }

    /// One transaction: a database is filled, or empty.
    private func fill(_ store: PlaneStore, _ manifest: BackupManifest, _ restoration: Restoration) throws {
        let found = try store.backEnd is PostgresStore ? store.read { try StateTables.names($0) } : []
        if let last = manifest.migrations.last { try PlaneSchema.migrator.migrate(store, upTo: last) }
        try store.write { database in
            guard try StateTables.areEmpty(database) else {
                throw PlaneProblem("the database is not empty any more", remedy: "nothing was restored")
            }
            let tables = try StateTables.names(database)
            for table in tables.reversed() { try database.execute(sql: "DELETE FROM \(table)") }
            let (_, reader) = try begin()
            for _ in manifest.files { _ = try BackupRecord(from: reader) }
            var current: (table: BackupTable, statement: Statement)?
            try forEachRow(reader) { table, values in
                if current?.table != table {
                    guard tables.contains(table.name), table.columns.allSatisfy(StateTables.isWord) else {
                        throw BackupRecord.malformed
                    }
                    let places = table.columns.map { _ in "?" }.joined(separator: ", ")
                    let words = table.columns.joined(separator: ", ")
                    let sql = "INSERT INTO \(table.name) (\(words)) VALUES (\(places))"
                    current = (table, try database.cachedStatement(sql: sql))
                }
                try current?.statement.execute(arguments: StatementArguments(values))
            }
            try StateTables.goOnCounting(database)
            try restoration.begin(database)
            try UnfinishedRestore.begin(found, database)
        }
    }

    /// The lost plane had revoked a cluster's authority and made another, of which the backup knows nothing. While the
    /// root is offline, an operator brings it for that.
    private func replaceAuthorities(_ state: PlaneState, _ database: Database) throws {
        let inForce = try AuthoritiesInForce(database)
        guard let root = inForce.root(for: nil), try OfflineRoot.since(root, database) == nil else { return }
        for cluster in try state.clusterNames(database) where inForce.issuer(of: cluster, for: nil) == nil {
            try state.addIntermediate(of: cluster, under: root, now: now, database)
        }
    }

    /// The newest tables, the keys that belong to them, the log as it was signed, and who was revoked since the backup.
    private func finish(
        _ aside: String, _ address: PostgresAddress?, _ restoration: Restoration
    ) throws -> LostRevocationList.Taken {
        let state = try PlaneState.open(aside, database: address)
        if let flaw = try state.database.read({ try PlaneLogVerification(key: state.witness).run($0) }).flaw {
            throw PlaneProblem(
                "the plane's own log in the backup is not intact: \(flaw)", remedy: "take another backup")
        }
        return try state.database.write { database in
            let taken = try LostRevocationList.take(lists, database)
            try replaceAuthorities(state, database)
            try state.log.record(
                PlaneEvent(
                    name: "plane.restore", actor: .caller,
                    detail: "from the backup of \(UnixTime.text(restoration.backupAt)), at event "
                        + "\(restoration.logSize) of this log; "
                        + "\(lists.count) lists of nodes revoke \(taken.revoked) more, "
                        + "\(taken.unknown.count) of them are of authorities that were made since"),
                now: now, database)
            try UnfinishedRestore.end(database)
            return taken
        }
    }
}
