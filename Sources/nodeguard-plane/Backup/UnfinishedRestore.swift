import FoundationEssentials

/// That a database was filled from a backup, but nothing was made of it yet: a restore that fails, or is cut off, then
/// leaves the database as it was, at once or when the next one comes.
enum UnfinishedRestore {
    private static let setting = "restore-unfinished"

    /// `found`: the tables that were there before.
    static func begin(_ found: [String], _ database: Database) throws {
        try PlaneState.set(setting, to: Data(found.joined(separator: " ").utf8), database)
    }

    static func end(_ database: Database) throws {
        try database.execute(sql: "DELETE FROM settings WHERE name = ?", arguments: [setting])
    }

    static func isIn(_ database: Database) throws -> Bool {
        guard try StateTables.names(database).contains("settings") else { return false }
        return try PlaneState.setting(setting, database) != nil
    }

    /// Without tables where there were none, so that a backup of any age finds its own; else with empty ones.
    static func clear(_ store: PlaneStore) throws {
        try store.write { database in
            let tables = try StateTables.names(database)
            guard tables.contains("settings") else { return }
            let found =
                try PlaneState.setting(setting, database)
                .map { String(decoding: $0, as: UTF8.self).split(separator: " ").map(String.init) } ?? tables
            if found.contains("plane_log") {
                for table in tables.reversed() { try database.execute(sql: "DELETE FROM \(table)") }
                try database.execute(
                    sql: "INSERT INTO plane_log (size, peaks, checkpoint) VALUES (0, ?, '')", arguments: [Data()])
            } else {
                for table in tables.reversed() where !found.contains(table) {
                    try database.execute(sql: "DROP TABLE \(table)")
                }
                // The trigger's, which goes with no table in PostgreSQL.
                try database.execute(sql: "DROP FUNCTION IF EXISTS certificate_is_revoked")
                try database.execute(sql: "DELETE FROM grdb_migrations")
            }
        }
    }
}
