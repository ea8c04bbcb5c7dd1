/// A token bucket in the store, of all planes together: `burst` at once, then `rate` a second. It counts what is
/// granted, in the transaction that grants it; `RateLimit` counts who asks, in each plane.
struct GrantLimit: Sendable {
    let burst: Int64
    let rate: Int64

    func admit(_ name: String, now: Int64, _ database: Database) throws -> Bool {
        let row = try Row.fetchOne(
            database, sql: "SELECT level, at FROM grant_limits WHERE name = ?", arguments: [name])
        var level = burst
        var at = now
        if let row {
            // The clock of another plane may be ahead.
            at = max(now, row["at"])
            let (left, since): (Int64, Int64) = (row["level"], row["at"])
            level = min(burst, left + min(burst, at - since) * rate)
        }
        guard level > 0 else { return false }
        try database.execute(
            sql: """
                INSERT INTO grant_limits (name, level, at) VALUES (?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET level = excluded.level, at = excluded.at
                """,
            arguments: [name, level - 1, at])
        return true
    }

    /// A bucket that is full says nothing.
    func trim(now: Int64, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM grant_limits WHERE at < ?", arguments: [now - burst / rate - 1])
    }
}
