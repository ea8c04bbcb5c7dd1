import Crypto
import FoundationEssentials
import X509

/// The register of every leaf the plane signed. What is not in it is nobody, whatever its signature says.
enum IssuedCertificates {
    enum Kind: String, Sendable { case node, role, client }

    struct Holder: Sendable {
        let kind: Kind
        let cluster: String
        /// The node's name, or the application's.
        let name: String
        var role: String?
    }

    /// `authority`: who signed it.
    static func record(
        _ certificate: Certificate, of holder: Holder, by authority: AuthorityRecord, _ database: Database
    ) throws {
        let der = try certificate.derBytes
        try database.execute(
            sql: """
                INSERT INTO certificates (
                    serial, fingerprint, kind, cluster, holder, role, not_before, not_after, der, authority)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                certificate.serialText, fingerprint(der), holder.kind.rawValue, holder.cluster, holder.name,
                holder.role,
                certificate.notBeforeSeconds, certificate.notAfterSeconds, Data(der), authority.id,
            ])
    }

    struct Found: Sendable {
        let holder: Holder
        let serial: String
        let notAfter: Int64
        let revokedAt: Int64?
    }

    static func find(der: [UInt8], _ database: Database) throws -> Found? {
        let row = try Row.fetchOne(
            database,
            sql: """
                SELECT kind, cluster, holder, role, serial, not_after, revoked_at
                FROM certificates WHERE fingerprint = ?
                """,
            arguments: [fingerprint(der)])
        guard let row, let kind = Kind(rawValue: row["kind"]) else { return nil }
        let revokedAt: Int64? = row["revoked_at"]
        return Found(
            holder: Holder(kind: kind, cluster: row["cluster"], name: row["holder"], role: row["role"]),
            serial: row["serial"], notAfter: row["not_after"], revokedAt: revokedAt
        )
    }

    static func der(serial: String, _ database: Database) throws -> [UInt8]? {
        try Data.fetchOne(
            database, sql: "SELECT der FROM certificates WHERE serial = ? AND revoked_at IS NULL", arguments: [serial]
        ).map { Array($0) }
    }

    /// The node identity that ends last, if it counts.
    static func newestIdentity(
        of node: String, in cluster: String, now: Int64, _ database: Database
    ) throws -> [UInt8]? {
        try Data.fetchOne(
            database,
            sql: """
                SELECT der FROM certificates
                WHERE cluster = ? AND holder = ? AND kind = 'node' AND revoked_at IS NULL AND not_after > ?
                ORDER BY not_after DESC, not_before DESC LIMIT 1
                """,
            arguments: [cluster, node, now]
        ).map { Array($0) }
    }

    /// How many were issued to this holder since; the brake on an agent that asks in a loop.
    static func count(of holder: Holder, since: Int64, _ database: Database) throws -> Int {
        try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM certificates
                WHERE cluster = ? AND holder = ? AND not_before >= ? AND kind IN ('node', 'role')
                """,
            arguments: [holder.cluster, holder.name, since]) ?? 0
    }

    /// The cluster that it belonged to; nil if there is no such certificate, or it was revoked before. Whoever had a
    /// node's key may have had its recovery key as well.
    static func revoke(serial: String, now: Int64, _ database: Database) throws -> String? {
        try database.execute(
            sql: """
                DELETE FROM recovery_keys WHERE EXISTS (
                    SELECT 1 FROM certificates WHERE serial = ? AND kind = 'node' AND revoked_at IS NULL
                        AND certificates.cluster = recovery_keys.cluster AND holder = node)
                """,
            arguments: [serial])
        return try String.fetchOne(
            database,
            sql: "UPDATE certificates SET revoked_at = ? WHERE serial = ? AND revoked_at IS NULL RETURNING cluster",
            arguments: [now, serial])
    }

    /// One that is not in the register and that a list of a plane which is lost has revoked; false: it is there.
    static func recordLost(
        serial: String, revokedAt: Int64, of cluster: String, by authority: AuthorityRecord, _ database: Database
    ) throws -> Bool {
        try database.execute(
            sql: """
                INSERT INTO certificates (
                    serial, fingerprint, kind, cluster, holder, not_before, not_after, der, authority, revoked_at)
                VALUES (?, ?, 'lost', ?, '', ?, ?, ?, ?, ?) ON CONFLICT (serial) DO NOTHING
                """,
            arguments: [
                serial, fingerprint(Array("lost \(serial)".utf8)), cluster, revokedAt,
                authority.certificate.notAfterSeconds, Data(), authority.id, revokedAt,
            ])
        return database.changesCount > 0
    }

    static func revokeAll(of node: String, in cluster: String, now: Int64, _ database: Database) throws -> Int {
        try database.execute(
            sql: """
                UPDATE certificates SET revoked_at = ?
                WHERE cluster = ? AND holder = ? AND kind IN ('node', 'role') AND revoked_at IS NULL AND not_after > ?
                """,
            arguments: [now, cluster, node, now])
        return database.changesCount
    }

    /// A revoked certificate leaves the list when it expires, and the register a year later.
    static func trim(now: Int64, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM certificates WHERE not_after < ?", arguments: [now - 365 * 86_400])
    }

    private static func fingerprint(_ der: [UInt8]) -> Data { Data(SHA256.hash(data: der)) }
}
