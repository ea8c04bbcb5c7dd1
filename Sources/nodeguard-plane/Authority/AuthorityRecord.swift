import FoundationEssentials
import SwiftASN1
import X509

/// One of the authorities that the plane has made: a root, or a cluster's intermediate under one. None is ever removed:
/// what it issued is told by it.
struct AuthorityRecord: Sendable {
    let id: Int64
    /// nil: a root.
    let cluster: String?
    let certificate: Certificate
    let der: [UInt8]
    let keyPlace: KeyPlace
    /// Which root certifies it; a root's own.
    let root: Int64
    let revokedAt: Int64?

    var isRoot: Bool { cluster == nil }

    /// Where a root stands among those of clusters.
    static let rootCluster = ""
    /// Of what issues the plane's own certificate while the root is offline: no cluster may be called so.
    static let planeCluster = ".plane"

    /// `cluster`: only its own, and the roots.
    static func all(of cluster: String? = nil, _ database: Database) throws -> [AuthorityRecord] {
        let columns = "SELECT id, cluster, certificate, key_file, root, revoked_at FROM authorities"
        let rows =
            if let cluster {
                try Row.fetchAll(
                    database, sql: columns + " WHERE cluster = '' OR cluster = ? ORDER BY id", arguments: [cluster])
            } else {
                try Row.fetchAll(database, sql: columns + " ORDER BY id")
            }
        return try rows.map { row in
            let der: Data = row["certificate"]
            let cluster: String = row["cluster"]
            return AuthorityRecord(
                id: row["id"], cluster: cluster == rootCluster ? nil : cluster,
                certificate: try Certificate(derEncoded: Array(der)), der: Array(der),
                keyPlace: try KeyPlace(row["key_file"]), root: row["root"], revokedAt: row["revoked_at"])
        }
    }

    /// Puts the key on the disk if it is in no token, then the authority into the database: a key that nothing names is
    /// only a leftover. `root`: who certifies it; nil: it is a root.
    static func add(
        _ authority: CertificateAuthority, cluster: String?, root: Int64?, keys: KeyHome, now: Int64,
        _ database: Database
    ) throws -> AuthorityRecord {
        let last = try Int64.fetchOne(database, sql: "SELECT max(id) FROM authorities")
        let id = (last ?? 0) + 1
        let place = try authority.keepKey(in: keys.file(try freeKeyFile(cluster, id, database)))
        try database.execute(
            sql: """
                INSERT INTO authorities (id, cluster, certificate, key_file, root, made_at) VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [id, cluster ?? rootCluster, Data(authority.der), place.text, root ?? id, now])
        return AuthorityRecord(
            id: id, cluster: cluster, certificate: authority.certificate, der: authority.der, keyPlace: place,
            root: root ?? id, revokedAt: nil)
    }

    /// The first of each has the plain name, later ones their number; a cluster's name has no dot.
    private static func freeKeyFile(_ cluster: String?, _ id: Int64, _ database: Database) throws -> String {
        let base = cluster.map { "cluster-\($0)" } ?? "root"
        let count = try Int.fetchOne(
            database, sql: "SELECT count(*) FROM authorities WHERE cluster = ?", arguments: [cluster ?? rootCluster])
        return count == 0 ? "\(base).key" : "\(base).\(id).key"
    }

    /// The root's list says less than there is to say from then on (`PublishedLists`).
    static func revoke(_ record: AuthorityRecord, now: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE authorities SET revoked_at = ? WHERE id = ?", arguments: [now, record.id])
    }

    /// With its key, from the disk or by the token or, a root's, from whoever has it.
    func load(from state: PlaneState, _ database: Database) throws -> CertificateAuthority {
        if isRoot, let text = state.rootKey, let key = try? SigningKey(pem: text, of: certificate, from: "--root-key") {
            return try CertificateAuthority(certificate: certificate, key: key)
        }
        if let since = try OfflineRoot.since(self, database) {
            throw PlaneProblem(
                "the root's key is offline since \(UnixTime.text(since))"
                    + (state.rootKey == nil ? "" : ", and the file of --root-key is not that key"),
                remedy: "give it with --root-key FILE --operator-key KEY, or bring it back with `root online`")
        }
        return try load(from: state.keys)
    }

    /// With its key, from the disk or by the token.
    func load(from keys: KeyHome) throws -> CertificateAuthority {
        try CertificateAuthority(
            certificate: certificate, key: try keys.find(keyPlace, of: certificate.publicKey))
    }
}
