/// Steps that make older tables newer ones, each done once in the life of a store, in one transaction. Their names are
/// in the table `grdb_migrations`, in either store.
struct DatabaseMigrator: Sendable {
    struct Migration: Sendable {
        let name: String
        let migrate: @Sendable (Database) throws -> Void
    }

    private(set) var migrations: [Migration] = []

    mutating func registerMigration(_ name: String, migrate: @escaping @Sendable (Database) throws -> Void) {
        migrations.append(Migration(name: name, migrate: migrate))
    }

    /// `upTo`: that one is the last.
    func migrate(_ store: PlaneStore, upTo last: String? = nil) throws {
        let end = last.flatMap { last in migrations.firstIndex { $0.name == last } } ?? migrations.count - 1
        try store.backEnd.migrate(Array(migrations[...end]))
    }
}
