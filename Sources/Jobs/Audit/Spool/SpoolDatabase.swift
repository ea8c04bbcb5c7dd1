import GRDB
import IO

/// Opens the spool's SQLite file and vouches for its form. SQLite alone decides what of the write-ahead log counts.
enum SpoolDatabase {
    /// "NGAS"; tells our file from another program's.
    private static let applicationIdentifier: Int64 = 0x4E47_4153
    private static let format: Int64 = 2
    /// Files up to this size are checked page by page after a crash.
    private static let checkLimit: Int64 = 64 << 20

    private static let tables = [SpoolRow.tableSQL, SpoolState.tableSQL]

    /// Makes a database with `state` in it, or nothing: it gets its name when it is whole.
    static func create(_ files: SpoolFiles, _ state: SpoolState) throws(SpoolError) -> DatabaseQueue {
        try spoolOperation("create \(files.database)") {
            let new = files.database + ".new"
            for path in [new, new + "-wal"] where Files.exists(path) { try Files.remove(path) }
            // Made here for its mode: SQLite gives its other files the mode of the first.
            _ = try Files.create(new, mode: 0o600)
            let queue = try connect(new)
            try queue.write { database in
                try database.execute(sql: "PRAGMA application_id = \(applicationIdentifier)")
                try database.execute(sql: "PRAGMA user_version = \(format)")
                for table in tables { try database.execute(sql: table) }
                try state.store(database)
            }
            try foldLog(queue)
            try queue.close()
            try Files.rename(new, to: files.database)
            return try connect(files.database)
        }
    }

    static func open(_ files: SpoolFiles) throws(SpoolError) -> DatabaseQueue {
        try spoolOperation("open \(files.database)") {
            if let obstacle = files.obstacle { throw SpoolError(.damaged, "\(obstacle) is a folder") }
            guard Files.exists(files.database), try Files.size(files.database) > 0 else {
                throw SpoolError(.damaged, "\(files.database) is missing or empty")
            }
            let queue = try connect(files.database)
            let isOld = try queue.inDatabase { database in
                let isOld = try checkForm(database) == SpoolMigration.oldFormat
                let state = try SpoolState.load(database)
                if !state.isClean, try Files.size(files.database) <= checkLimit {
                    let verdict = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? ""
                    guard verdict == "ok" else { throw SpoolError(.damaged, verdict) }
                }
                return isOld
            }
            if isOld { try SpoolMigration.migrate(queue, to: format) }
            return queue
        }
    }

    /// Moves the write-ahead log into the database.
    static func foldLog(_ queue: DatabaseQueue) throws {
        try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    }

    private static func connect(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "nodeguard.audit.sqlite"
        configuration.prepareDatabase { database in
            // Exclusive: no other process writes beside us, and no shared index that somebody could cut under our feet.
            for pragma in [
                "locking_mode = EXCLUSIVE", "trusted_schema = OFF", "cell_size_check = ON",
                "auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL",
                "journal_size_limit = 4194304",
            ] {
                try database.execute(sql: "PRAGMA \(pragma)")
            }
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Returns the format: the one of now, or one that can be brought into it.
    private static func checkForm(_ database: Database) throws -> Int64 {
        let found = try Int64.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard try Int64.fetchOne(database, sql: "PRAGMA application_id") == applicationIdentifier,
            found == format || found == SpoolMigration.oldFormat
        else { throw SpoolError(.damaged, "this is no audit spool of this version") }
        let schema = try String.fetchAll(database, sql: "SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        guard found == format ? schema == tables : SpoolMigration.isOld(schema) else {
            throw SpoolError(.damaged, "the spool's tables are not the ones we make")
        }
        return found
    }
}
