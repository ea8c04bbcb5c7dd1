import FoundationEssentials
import HTTPTypes
import PlaneAPI

/// The register of backup keys: made for a node, opened for its own cluster with a reason, deleted only after a delay
/// in which an operator can still say no.
struct KeyCustody: Sendable {
    let state: PlaneState

    static let deletionDelay: Int64 = 7 * 86_400
    static let reasonLimit = 500
    /// Of keys made, and of keys opened, to each node, by all planes together.
    static let grants = GrantLimit(burst: 200, rate: 2)

    func create(for identity: NodeIdentity, backup: String, now: Int64) throws -> CreatedKey {
        guard (1...255).contains(backup.utf8.count), backup.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) else {
            throw Refusal.unprocessable("backup-name", "a backup's name has 1 to 255 bytes and no control characters")
        }
        let id = Hex.lower(RandomBytes.make(16))
        let secret = RandomBytes.make(32)
        let salt = RandomBytes.make(32)
        let key = state.wrapping.current
        let wrapped = try key.wrap(
            secret, salt: salt, for: KeyContext(cluster: identity.cluster, backup: backup, id: id))
        try state.database.write { database in
            try identity.requireStanding(now: now, database)
            try admit("create", identity, now, database)
            try database.execute(
                sql: "INSERT INTO keys (id, cluster, node, backup, kek, salt, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                arguments: [id, identity.cluster, identity.node, backup, key.id, Data(salt), now])
            try record("key.create", identity, "key \(id) of the backup \(backup)", now, database)
        }
        return CreatedKey(id: id, key: Data(secret), wrapped: Data(wrapped), kek: key.id)
    }

    func unwrap(_ id: String, for identity: NodeIdentity, _ wish: KeyUnwrapping, now: Int64) throws -> UnwrappedKey {
        guard (1...Self.reasonLimit).contains(wish.reason.utf8.count) else {
            throw Refusal.unprocessable(
                "reason-required", "say in at most \(Self.reasonLimit) bytes what the key is for")
        }
        return try state.database.write { database in
            try identity.requireStanding(now: now, database)
            let row = try find(id, for: identity, database)
            let salt: Data? = row["salt"]
            guard let salt, try !isDeleted(row, now) else {
                throw Refusal(status: .gone, reason: "key-deleted", detail: "the key \(id) was deleted")
            }
            guard wish.kek == row["kek"], let key = state.wrapping.named(wish.kek) else {
                throw Refusal.unprocessable("kek-unknown", "the key \(id) is not wrapped by \(wish.kek.prefix(64))")
            }
            let context = KeyContext(cluster: row["cluster"], backup: row["backup"], id: id)
            guard let secret = try key.unwrap(Array(wish.wrapped), salt: Array(salt), for: context) else {
                throw Refusal.unprocessable(
                    "wrap-not-authentic", "the wrapped key was changed, or is not the one of \(id)")
            }
            try admit("unwrap", identity, now, database)
            try database.execute(
                sql: "UPDATE keys SET unwraps = unwraps + 1, last_unwrapped_at = ? WHERE id = ?", arguments: [now, id])
            try record("key.unwrap", identity, "key \(id), reason: \(wish.reason)", now, database)
            return UnwrappedKey(key: Data(secret))
        }
    }

    /// Idempotent: the first request counts.
    func requestDeletion(of id: String, by identity: NodeIdentity, now: Int64) throws -> KeyDeletion {
        try state.database.write { database in
            try identity.requireStanding(now: now, database)
            let row = try find(id, for: identity, database)
            let requested: Int64? = row["deletion_requested_at"]
            if requested == nil {
                try database.execute(
                    sql: "UPDATE keys SET deletion_requested_at = ? WHERE id = ?", arguments: [now, id])
                try record("key.deletion", identity, "key \(id)", now, database)
            }
            return KeyDeletion(id: id, effectiveAt: (requested ?? now) + Self.deletionDelay)
        }
    }

    /// Forgets the salts of keys whose delay is over; what they wrapped can never be opened again.
    func forgetDeleted(now: Int64, _ database: Database) throws {
        let forgotten = try Row.fetchAll(
            database,
            sql: """
                UPDATE keys SET salt = NULL WHERE salt IS NOT NULL AND deletion_requested_at <= ?
                RETURNING id, cluster, node, backup
                """,
            arguments: [now - Self.deletionDelay])
        for row in forgotten {
            let id: String = row["id"]
            let backup: String = row["backup"]
            let event = PlaneEvent(
                name: "key.forget", actor: .plane, cluster: row["cluster"], node: row["node"],
                detail: "key \(id) of the backup \(backup)")
            try state.log.record(event, now: now, database)
        }
    }

    private func admit(_ what: String, _ identity: NodeIdentity, _ now: Int64, _ database: Database) throws {
        let name = "\(what) \(identity.cluster)/\(identity.node)"
        guard try Self.grants.admit(name, now: now, database) else { throw Self.tooMany(identity) }
    }

    static func tooMany(_ identity: NodeIdentity) -> Refusal {
        .tooMany("\(identity.node) asks for more keys than a backup or restore needs", after: 30)
    }

    private func isDeleted(_ row: Row, _ now: Int64) throws -> Bool {
        let requested: Int64? = row["deletion_requested_at"]
        return requested.map { now >= $0 + Self.deletionDelay } ?? false
    }

    private func find(_ id: String, for identity: NodeIdentity, _ database: Database) throws -> Row {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM keys WHERE id = ?", arguments: [id]) else {
            throw Refusal(status: .notFound, reason: "key-unknown", detail: "there is no such key")
        }
        guard row["cluster"] == identity.cluster else {
            throw Refusal.denied("key-of-another-cluster", "\(identity.node) may not use the key \(id)")
        }
        return row
    }

    private func record(
        _ action: String, _ identity: NodeIdentity, _ detail: String, _ now: Int64, _ database: Database
    ) throws {
        try state.log.record(
            PlaneEvent(
                name: action, actor: identity.actor, cluster: identity.cluster, node: identity.node, detail: detail),
            now: now, database)
    }
}
