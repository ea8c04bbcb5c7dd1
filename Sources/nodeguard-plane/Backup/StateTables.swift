/// The tables of the plane's database as a backup has them, the same in either store.
enum StateTables {
    /// Others refer to them, so they are filled first.
    private static let first = ["clusters", "nodes", "audit_logs"]
    /// Of the store itself; each store makes its own.
    private static let own: Set<String> = ["grdb_migrations", "write_turn"]

    /// Those that are there, in the order in which they can be filled.
    static func names(_ database: Database) throws -> [String] {
        let sql =
            switch database.dialect {
            case .sqlite:
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            case .postgresql:
                """
                SELECT tablename::text AS name FROM pg_catalog.pg_tables
                WHERE schemaname = current_schema()
                """
            }
        let found = Set(try String.fetchAll(database, sql: sql)).subtracting(own)
        return first.filter(found.contains) + found.subtracting(first).sorted()
    }

    static func migrations(_ database: Database) throws -> [String] {
        let done = Set(try String.fetchAll(database, sql: "SELECT identifier FROM grdb_migrations"))
        return PlaneSchema.migrator.migrations.map(\.name).filter(done.contains)
    }

    static func count(_ table: String, _ database: Database) throws -> Int64 {
        try Int64.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0
    }

    /// Whether no plane ever wrote into it: the head of the own log is the one row that a schema begins with.
    static func areEmpty(_ database: Database) throws -> Bool {
        for table in try names(database) {
            let count =
                table == "plane_log"
                ? try Int64.fetchOne(database, sql: "SELECT count(*) FROM plane_log WHERE size > 0") ?? 0
                : try count(table, database)
            if count > 0 { return false }
        }
        return true
    }

    /// PostgreSQL gives numbers itself, and has to be told where to go on.
    static func goOnCounting(_ database: Database) throws {
        guard database.dialect == .postgresql else { return }
        let columns = try Row.fetchAll(
            database,
            sql: """
                SELECT table_name::text AS name, column_name::text AS word FROM information_schema.columns
                WHERE table_schema = current_schema() AND is_identity = 'YES'
                """)
        for row in columns {
            let (table, column): (String, String) = (row["name"], row["word"])
            _ = try Int64.fetchOne(
                database,
                sql: """
                    SELECT setval(pg_get_serial_sequence('\(table)', '\(column)'),
                        coalesce((SELECT max(\(column)) FROM \(table)), 0) + 1, false)
                    """)
        }
    }

    /// A table's or column's name, which comes from a backup.
    static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F || (0x30...0x39).contains($0) }
    }
}
