import FoundationEssentials
import X509

/// The CRLs that the nodes of a cluster get: its own authority's, then the root's, which would revoke the first; then,
/// while there are others, those of the others that are trusted. Each is signed when somebody was revoked or half of
/// its time is over, and is the same for all until then. An offline root's is the last that it has signed: nobody could
/// sign another, and it says all, since the root was there for each revocation of an authority under it.
struct PublishedLists: Sendable {
    /// An entity tag (RFC 9110 §8.8.3).
    let tag: String
    /// Each in DER, one behind the other.
    let bytes: [UInt8]

    /// A clock that was set back further has the list signed anew.
    private static let tolerance: Int64 = 60

    /// Blocks while it reads and signs. nil: there is no such cluster.
    static func current(of cluster: String, _ state: PlaneState, now: Int64) throws -> PublishedLists? {
        let stored = try state.database.read { try self.stored(cluster, now, $0) }
        if let stored { return stored }
        guard try state.database.read({ try state.clusterNames($0) }).contains(cluster) else { return nil }
        return try state.database.write { database in
            for authority in try AuthoritiesInForce(of: cluster, database).listed(of: cluster)
            where try OfflineRoot.since(authority, database) == nil {
                try renew(authority, state, now, database)
            }
            return try self.stored(cluster, now, database)
        }
    }

    /// Names what `current` would give; nil: that would have to be signed first.
    static func tag(of cluster: String, now: Int64, _ database: Database) throws -> String? {
        try tag(of: AuthoritiesInForce(of: cluster, database).listed(of: cluster), now, database)
    }

    private static func tag(of listed: [AuthorityRecord], _ now: Int64, _ database: Database) throws -> String? {
        let numbers = try listed.compactMap { try number($0, now, database) }
        guard !listed.isEmpty, numbers.count == listed.count else { return nil }
        return "\"" + numbers.map(String.init).joined(separator: "-") + "\""
    }

    private static func stored(_ cluster: String, _ now: Int64, _ database: Database) throws -> PublishedLists? {
        let listed = try AuthoritiesInForce(of: cluster, database).listed(of: cluster)
        guard let tag = try tag(of: listed, now, database) else { return nil }
        let lists = try listed.map { authority in
            try Data.fetchOne(
                database, sql: "SELECT der FROM revocation_lists WHERE authority = ?", arguments: [row(authority)])
                ?? Data()
        }
        return PublishedLists(tag: tag, bytes: lists.flatMap { Array($0) })
    }

    /// Of the list that is there; nil: it says less than there is to say, or is too old. An offline root's is taken
    /// whatever its date and this clock say; 0: it has none.
    private static func number(_ authority: AuthorityRecord, _ now: Int64, _ database: Database) throws -> Int64? {
        if try OfflineRoot.since(authority, database) != nil {
            return try Int64.fetchOne(
                database, sql: "SELECT number FROM revocation_lists WHERE authority = ? AND issuer = ?",
                arguments: [row(authority), Data(authority.der)]) ?? 0
        }
        return try Int64.fetchOne(
            database,
            sql: """
                SELECT number FROM revocation_lists
                WHERE authority = ? AND issuer = ? AND made_at > ? AND made_at < ? AND revocations = ?
                """,
            arguments: [
                row(authority), Data(authority.der), now - RevocationList.lifetime / 2, now + tolerance,
                try revocations(by: authority, database),
            ])
    }

    /// Of its own alone: what one root revokes says nothing of the other's list.
    private static func revocations(by authority: AuthorityRecord, _ database: Database) throws -> Int64 {
        let count =
            if let cluster = authority.cluster {
                try Int64.fetchOne(
                    database, sql: "SELECT count FROM revocations WHERE cluster = ?", arguments: [cluster])
            } else {
                try Int64.fetchOne(
                    database,
                    sql: "SELECT count(*) FROM authorities WHERE root = ? AND id <> root AND revoked_at IS NOT NULL",
                    arguments: [authority.id])
            }
        return count ?? 0
    }

    private static func row(_ authority: AuthorityRecord) -> String { "#\(authority.id)" }

    /// When the offline root's ends; 0: there is none.
    static func end(of root: AuthorityRecord, _ database: Database) throws -> Int64 {
        let madeAt = try Int64.fetchOne(
            database, sql: "SELECT made_at FROM revocation_lists WHERE authority = ? AND issuer = ?",
            arguments: [row(root), Data(root.der)])
        return madeAt.map { $0 + OfflineRoot.listLifetime } ?? 0
    }

    /// A root's, for as long as its key may be away.
    static func signForLong(_ root: AuthorityRecord, _ state: PlaneState, now: Int64, _ database: Database) throws {
        try sign(root, state, now, lifetime: OfflineRoot.listLifetime, database)
    }

    private static func renew(
        _ authority: AuthorityRecord, _ state: PlaneState, _ now: Int64, _ database: Database
    ) throws {
        if try number(authority, now, database) != nil { return }
        try sign(authority, state, now, lifetime: RevocationList.lifetime, database)
    }

    /// Numbers are times, so that they grow even if the state comes from an old copy.
    private static func sign(
        _ authority: AuthorityRecord, _ state: PlaneState, _ now: Int64, lifetime: Int64, _ database: Database
    ) throws {
        let last = try Int64.fetchOne(
            database, sql: "SELECT number FROM revocation_lists WHERE authority = ?", arguments: [row(authority)])
        let number = max(now, (last ?? 0) + 1)
        let revoked = try RevokedCertificate.all(by: authority, now: now, database)
        let der = try RevocationList.make(
            of: authority.load(from: state, database), revoked, number: number, now: now, lifetime: lifetime)
        try database.execute(
            sql: """
                INSERT INTO revocation_lists (authority, issuer, number, revocations, made_at, der)
                VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (authority) DO UPDATE SET issuer = excluded.issuer, number = excluded.number,
                    revocations = excluded.revocations, made_at = excluded.made_at, der = excluded.der
                """,
            arguments: [
                row(authority), Data(authority.der), number, try revocations(by: authority, database), now, Data(der),
            ])
        let event = PlaneEvent(
            name: "crl.issue", actor: .plane, cluster: authority.cluster,
            detail: "number \(number), \(revoked.count) revoked, of \(authority.certificate.subject)")
        try state.log.record(event, now: now, database)
    }
}
