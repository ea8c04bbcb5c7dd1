import FoundationEssentials

/// The CRLs that the nodes of a cluster get: its own authority's, then the root's, which would revoke the first. Each
/// is signed when somebody was revoked or half of its time is over, and is the same for all until then.
struct PublishedLists: Sendable {
    /// An entity tag (RFC 9110 §8.8.3).
    let tag: String
    /// Each in DER, one behind the other.
    let bytes: [UInt8]

    /// Among the rows by authority.
    private static let root = ""
    /// A clock that was set back further has the list signed anew.
    private static let tolerance: Int64 = 60

    /// Blocks while it reads and signs. nil: there is no such cluster.
    static func current(of cluster: String, _ state: PlaneState, now: Int64) throws -> PublishedLists? {
        let stored = try state.database.read { try self.stored(cluster, state, now, $0) }
        if let stored { return stored }
        guard try state.database.read({ try state.clusterNames($0) }).contains(cluster) else { return nil }
        return try state.database.write { database in
            guard let authority = try state.authority(of: cluster, database) else { return nil }
            try renew(
                cluster, authority, try RevokedCertificate.all(in: cluster, now: now, database), state.log, now,
                database)
            try renew(root, state.root, [], state.log, now, database)
            return try self.stored(cluster, state, now, database)
        }
    }

    /// Names what `current` would give; nil: that would have to be signed first.
    static func tag(of cluster: String, _ state: PlaneState, now: Int64, _ database: Database) throws -> String? {
        let authority = try Data.fetchOne(
            database, sql: "SELECT certificate FROM clusters WHERE name = ?", arguments: [cluster])
        guard let authority, let own = try number(cluster, Array(authority), now, database),
            let above = try number(root, state.root.der, now, database)
        else { return nil }
        return "\"\(own)-\(above)\""
    }

    private static func stored(
        _ cluster: String, _ state: PlaneState, _ now: Int64, _ database: Database
    ) throws -> PublishedLists? {
        guard let tag = try tag(of: cluster, state, now: now, database) else { return nil }
        let lists = try [cluster, root].map { authority in
            try Data.fetchOne(
                database, sql: "SELECT der FROM revocation_lists WHERE authority = ?", arguments: [authority]) ?? Data()
        }
        return PublishedLists(tag: tag, bytes: lists.flatMap { Array($0) })
    }

    /// Of the list that is there; nil: it says less than there is to say, or is too old.
    private static func number(
        _ authority: String, _ issuer: [UInt8], _ now: Int64, _ database: Database
    ) throws -> Int64? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT number FROM revocation_lists
                WHERE authority = ? AND issuer = ? AND made_at > ? AND made_at < ?
                    AND revocations = coalesce((SELECT count FROM revocations WHERE cluster = ?), 0)
                """,
            arguments: [
                authority, Data(issuer), now - RevocationList.lifetime / 2, now + tolerance, authority,
            ])
    }

    /// Numbers are times, so that they grow even if the state comes from an old copy.
    private static func renew(
        _ row: String, _ authority: CertificateAuthority, _ revoked: [RevokedCertificate],
        _ log: PlaneLog, _ now: Int64, _ database: Database
    ) throws {
        if try number(row, authority.der, now, database) != nil { return }
        let last = try Int64.fetchOne(
            database, sql: "SELECT number FROM revocation_lists WHERE authority = ?", arguments: [row])
        let number = max(now, (last ?? 0) + 1)
        let der = try RevocationList.make(of: authority, revoked, number: number, now: now)
        try database.execute(
            sql: """
                INSERT INTO revocation_lists (authority, issuer, number, revocations, made_at, der)
                VALUES (?, ?, ?, coalesce((SELECT count FROM revocations WHERE cluster = ?), 0), ?, ?)
                ON CONFLICT (authority) DO UPDATE SET issuer = excluded.issuer, number = excluded.number,
                    revocations = excluded.revocations, made_at = excluded.made_at, der = excluded.der
                """,
            arguments: [row, Data(authority.der), number, row, now, Data(der)])
        let event = PlaneEvent(
            name: "crl.issue", actor: .plane, cluster: row == root ? nil : row,
            detail: "number \(number), \(revoked.count) revoked")
        try log.record(event, now: now, database)
    }
}
