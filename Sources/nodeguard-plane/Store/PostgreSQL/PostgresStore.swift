import Dispatch

/// The store in a PostgreSQL database, or one that speaks its language (YugabyteDB), for several planes at once.
///
/// Each writing transaction begins with a turn: it counts up the one row of `write_turn`, and so waits for whoever is
/// writing, in this process or in another. From then on it is alone, as with SQLite. Therefore READ COMMITTED is enough
/// on PostgreSQL: each statement after the turn sees all that earlier writers did. Where a server makes more of that
/// level (YugabyteDB: a snapshot from before the wait), two that change the same row end as a conflict (40001) instead,
/// and the later one is done again. A higher level would only add conflicts: every decision appends to the plane's own
/// log, so no two could ever go side by side. Nothing depends on advisory locks or LISTEN/NOTIFY, which YugabyteDB did
/// not have before 2025.
struct PostgresStore: StoreBackEnd {
    static let readers = 4
    static let waitLimit = DispatchTimeInterval.seconds(10)
    static let attemptLimit = 8

    private let connections: PostgresConnections
    private let reading = DispatchSemaphore(value: readers)
    private let writing = DispatchSemaphore(value: 1)

    init(_ address: PostgresAddress) { connections = PostgresConnections(address) }

    func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try inTurn(reading) {
            try transaction(Self.beginReading) { try body(Database(PostgresSession($0))) }
        }
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await offLoop { try read(body) }
    }

    func write<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try inTurn(writing) {
            try transaction(Self.beginWriting) { try body(Database(PostgresSession($0))) }
        }
    }

    func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await offLoop { try write(body) }
    }

    func migrate(_ migrations: [DatabaseMigrator.Migration]) throws {
        try prepare()
        try inTurn(writing) {
            try transaction(Self.beginWriting) { connection in
                let database = Database(PostgresSession(connection, isMigration: true))
                let done = Set(try String.fetchAll(database, sql: "SELECT identifier FROM grdb_migrations"))
                for migration in migrations where !done.contains(migration.name) {
                    try migration.migrate(database)
                    try database.execute(
                        sql: "INSERT INTO grdb_migrations (identifier) VALUES (?)", arguments: [migration.name])
                }
            }
        }
    }

    /// One snapshot for all that is read. A reader in the middle of a long list may be slow (somebody reads along).
    private static let beginReading = """
        BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0
        """
    private static let beginWriting = "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE write_turn SET turn = turn + 1"

    // MARK: Transactions

    private func inTurn<Value>(_ places: DispatchSemaphore, _ body: () throws -> Value) throws -> Value {
        guard places.wait(timeout: .now() + Self.waitLimit) == .success else {
            throw StoreProblem.unavailable("no connection of this plane became free")
        }
        defer { places.signal() }
        return try body()
    }

    private func transaction<Value>(
        _ begin: String, _ body: (PostgresConnection) throws -> Value
    ) throws -> Value {
        var attempt = 1
        while true {
            let connection = try connections.borrow()
            var isCommitting = false
            do {
                defer { connections.giveBack(connection) }
                let first = try connection.run(begin)
                if begin == Self.beginWriting, first.count != 1 {
                    throw StoreProblem.damaged("the table write_turn has not its one row")
                }
                let value = try body(connection)
                isCommitting = true
                // A transaction that failed ends as a rollback, which is no error to PostgreSQL.
                guard try connection.run("COMMIT").tag == "COMMIT" else {
                    throw StoreProblem.damaged("a transaction failed in which nobody said so")
                }
                return value
            } catch let error as PostgresError {
                if error.isLoss { connections.forgetIdle() }
                // Whether a commit happened whose answer did not come, nobody knows: the caller asks again.
                let isSafe = error.isConflict || (error.isLoss && !isCommitting)
                guard isSafe, attempt < (error.isConflict ? Self.attemptLimit : 2) else { throw error }
                if error.isConflict { Self.pause(attempt) }
                attempt += 1
            }
        }
    }

    /// Those who met do not meet again.
    private static func pause(_ attempt: Int) {
        let never = DispatchSemaphore(value: 0)
        _ = never.wait(timeout: .now() + .milliseconds(Int.random(in: 1...(4 << attempt))))
    }

    // MARK: The first two tables

    private static let firstTables = [
        "CREATE TABLE IF NOT EXISTS grdb_migrations (identifier TEXT COLLATE \"C\" NOT NULL PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS write_turn (id BIGINT PRIMARY KEY, turn BIGINT NOT NULL)",
        "INSERT INTO write_turn (id, turn) VALUES (1, 0) ON CONFLICT (id) DO NOTHING",
    ]

    /// What every transaction needs. Two planes that start together on an empty database may make it at the same time,
    /// which PostgreSQL answers with an error for one of them (of pg_class or pg_type); that one then finds it made.
    private func prepare() throws {
        for attempt in 1... {
            let connection = try connections.borrow()
            do {
                defer { connections.giveBack(connection) }
                let count = """
                    SELECT count(*)::text FROM (VALUES (to_regclass('grdb_migrations')), (to_regclass('write_turn')))
                    AS wanted (name) WHERE name IS NOT NULL
                    """
                if try connection.run(count).rows.first?.first == .text("2"),
                    try connection.run("SELECT 1 FROM write_turn").count == 1
                {
                    return
                }
                for statement in Self.firstTables { try connection.run(statement) }
            } catch let error as PostgresError {
                if error.isLoss { connections.forgetIdle() }
                guard ["23505", "42P07", "40001", "XX000"].contains(error.state), attempt < Self.attemptLimit else {
                    throw error
                }
                Self.pause(attempt)
            }
        }
    }
}
