import Crypto
import FoundationEssentials

/// A copy of everything that the plane knows, of one moment, while it runs: its tables in rows, whichever store they
/// are in, and all files of the state folder.
struct StateBackup {
    let state: PlaneState
    let recipients: [OperatorPublicKey]

    /// Keys are made before the rows that need them and never removed, so the files are read after the moment.
    func write(to path: String, now: Int64) throws -> BackupManifest {
        try state.database.read { database in
            let manifest = try manifest(now, database)
            let writer = try SealedFileWriter(path, recipients: recipients)
            try writer.write(BackupRecord.manifest(manifest).encoded())
            for file in manifest.files {
                let bytes = try StateFolder.read(file.path, in: state.directory)
                guard StateFolder.digest(bytes) == file.sha256 else {
                    throw PlaneProblem("\(file.path) was changed meanwhile", remedy: "try again")
                }
                try writer.write(BackupRecord.file(bytes).encoded())
            }
            for table in try StateTables.names(database) {
                try write(table, expected: manifest.tables[table] ?? 0, to: writer, database)
            }
            try writer.write(BackupRecord.end.encoded())
            try writer.finish()
            return manifest
        }
    }

    private func manifest(_ now: Int64, _ database: Database) throws -> BackupManifest {
        let tables = try StateTables.names(database)
        var counts: [String: Int64] = [:]
        for table in tables { counts[table] = try StateTables.count(table, database) }
        let checkpoint = try String.fetchOne(database, sql: "SELECT checkpoint FROM plane_log") ?? ""
        let files = try StateFolder.files(in: state.directory).map { path in
            let bytes = try StateFolder.read(path, in: state.directory)
            return BackupManifest.File(path: path, size: bytes.count, sha256: StateFolder.digest(bytes))
        }
        return BackupManifest(
            createdAt: now, plane: state.witness.name, logSize: try state.log.tree(database).size,
            checkpoint: checkpoint, migrations: try StateTables.migrations(database), files: files, tables: counts)
    }

    private func write(_ table: String, expected: Int64, to writer: SealedFileWriter, _ database: Database) throws {
        let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(table)")
        var count: Int64 = 0
        while let row = try rows.next() {
            if count == 0 {
                try writer.write(BackupRecord.table(BackupTable(name: table, columns: row.columns)).encoded())
            }
            try writer.write(BackupRecord.row(row.values).encoded())
            count += 1
        }
        guard count == expected else {
            throw StoreProblem.damaged("\(table) had \(expected) rows, and \(count) when they were read")
        }
    }
}

/// The files of a state folder that a backup holds: all but the database, where that is, and what was last
/// seen of its log.
enum StateFolder {
    static let fileLimit = 1 << 20
    private static let depthLimit = 4

    /// Paths within the folder, in order.
    static func files(in directory: String) throws -> [String] { try files(in: directory, "", depthLimit).sorted() }

    private static func files(in directory: String, _ folder: String, _ depth: Int) throws -> [String] {
        guard depth > 0 else {
            throw PlaneProblem("\(directory)/\(folder) is too deep", remedy: "no such folder is the plane's; move it")
        }
        return try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)").flatMap { name in
            let path = folder + name
            if folder.isEmpty, name == "database" || name == LogMemory.fileName || name.hasPrefix("plane.sqlite") {
                return [String]()
            }
            if name.contains(/\.new\.[0-9]+$/) { return [] }
            let kind = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(path)")[.type]
            switch kind as? FileAttributeType {
            case .typeDirectory: return try files(in: directory, path + "/", depth - 1)
            case .typeRegular: return [path]
            case .typeSocket: return []
            default:
                throw PlaneProblem(
                    "\(directory)/\(path) is no file", remedy: "a backup holds files only; put one in its place")
            }
        }
    }

    static func read(_ path: String, in directory: String) throws -> [UInt8] {
        let bytes = try InputFile("\(directory)/\(path)").read(fileLimit + 1)
        guard bytes.count <= fileLimit else {
            throw PlaneProblem("\(directory)/\(path) is too large", remedy: "no such file is the plane's; move it")
        }
        return bytes
    }

    static func digest(_ bytes: [UInt8]) -> String { Hex.lower(SHA256.hash(data: bytes)) }

    /// A path that stays in its folder.
    static func isSafe(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return (1...depthLimit).contains(parts.count) && parts.allSatisfy { !["", ".", ".."].contains($0) }
            && !path.utf8.contains(0)
    }
}
