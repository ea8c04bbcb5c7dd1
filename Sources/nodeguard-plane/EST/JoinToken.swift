import Crypto
import FoundationEssentials
import PlaneAPI

/// A secret that lets one node join one cluster, once. Its text is `<id>.<secret>`; the plane keeps SHA-256 of the
/// secret.
struct JoinToken {
    let id: String
    let text: String

    static func create(
        cluster: String, node: String, lifetime: Int64, now: Int64, _ database: Database
    ) throws -> JoinToken {
        let id = Hex.lower(RandomBytes.make(8))
        let secret = Data(RandomBytes.make(32))
        try database.execute(
            sql: "INSERT INTO tokens (id, digest, cluster, node, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            arguments: [id, Data(SHA256.hash(data: secret)), cluster, node, now, now + lifetime])
        return JoinToken(id: id, text: id + "." + Base64URL.encode(secret))
    }

    /// A token that is what it says it is, and not past its time; it may have been spent.
    struct Known: Sendable {
        let id: String
        let cluster: String
        let node: String
        /// SHA-256 of the key that it was spent for, and what was issued then.
        let spentKey: [UInt8]?
        let serial: String?
    }

    static func check(_ text: String, now: Int64, _ database: Database) throws -> Known {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count < 200, let secret = Base64URL.decode(String(parts[1])) else {
            throw Refusal.unauthorized("token-unknown", "this is not a join token of this plane")
        }
        let row = try Row.fetchOne(database, sql: "SELECT * FROM tokens WHERE id = ?", arguments: [String(parts[0])])
        // Compared in constant time, and compared also when there is nothing to compare with.
        let expected: Data = row?["digest"] ?? Data(repeating: 0, count: 32)
        guard ConstantTime.equal(Array(SHA256.hash(data: secret)), Array(expected)), let row else {
            throw Refusal.unauthorized("token-unknown", "this join token is not known; ask for a new bundle")
        }
        let expiresAt: Int64 = row["expires_at"]
        guard now < expiresAt else {
            throw Refusal.unauthorized(
                "token-expired", "this join token expired at \(UnixTime.text(expiresAt)); ask for a new bundle")
        }
        let spentKey: Data? = row["spent_key"]
        return Known(
            id: row["id"], cluster: row["cluster"], node: row["node"], spentKey: spentKey.map { Array($0) },
            serial: row["serial"])
    }

    static func spend(_ token: Known, key: [UInt8], serial: String, now: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE tokens SET spent_at = ?, spent_key = ?, serial = ? WHERE id = ? AND spent_at IS NULL",
            arguments: [now, Data(key), serial, token.id])
        precondition(database.changesCount == 1, "a token is spent in the transaction that found it unspent")
    }
}

enum ConstantTime {
    static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(into: UInt8(0)) { $0 |= $1.0 ^ $1.1 } == 0
    }
}
