/// Where the plane keeps what it knows. Several processes may have it open at once.
struct PlaneStore: Sendable {
    let backEnd: any StoreBackEnd

    static func sqlite(path: String) throws -> PlaneStore { PlaneStore(backEnd: try SQLiteStore(path: path)) }

    static func postgresql(_ address: PostgresAddress) -> PlaneStore { PlaneStore(backEnd: PostgresStore(address)) }

    /// What `body` reads is of one moment.
    func read<Value>(_ body: (Database) throws -> Value) throws -> Value { try backEnd.read(body) }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await backEnd.read(body)
    }

    /// One decision: writers of all processes go one after the other, and what `body` did is durable when this returns,
    /// or nothing of it is there. `body` may run more than once, the last time for good.
    func write<Value>(_ body: (Database) throws -> Value) throws -> Value { try backEnd.write(body) }

    func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await backEnd.write(body)
    }
}

protocol StoreBackEnd: Sendable {
    func read<Value>(_ body: (Database) throws -> Value) throws -> Value
    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value
    func write<Value>(_ body: (Database) throws -> Value) throws -> Value
    func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value
    /// Those of `migrations` that were not done yet.
    func migrate(_ migrations: [DatabaseMigrator.Migration]) throws
}
