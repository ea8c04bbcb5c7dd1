import FoundationEssentials
import PlaneAPI
import SwiftASN1
import X509

/// That this plane was made of a backup, and of which: what happened in between is known to its nodes alone.
struct Restoration: Codable, Sendable, Equatable {
    let backupAt: Int64
    let restoredAt: Int64
    /// Of the plane's own log.
    let logSize: UInt64
    let plane: String

    private static let setting = "restoration"
    /// Clocks of planes that share a database.
    private static let tolerance: Int64 = 60

    static func current(_ database: Database) throws -> Restoration? {
        try PlaneState.setting(setting, database).map { try JSONDecoder().decode(Restoration.self, from: $0) }
    }

    /// What must not go back is put forward, and what may have been used is void: tokens, and recovery keys, whose
    /// nodes may have been revoked or replaced since. Nodes in good standing register theirs again within a day.
    ///
    /// Versions of desired states go on from the clock, which is ahead of any that was counted up by hand; what is set
    /// is not signed anew by itself, for it may let in again who was shut out since. What is signed next has a key of
    /// its own: nodes may have seen a later one than the backup has.
    func begin(_ database: Database) throws {
        try PlaneState.set(Self.setting, to: Data(try JSONEncoder.plane.encode(self)), database)
        try database.execute(
            sql: """
                UPDATE desired_versions SET renew_at = ?,
                    version = CASE WHEN version < ? THEN ? ELSE version END
                """,
            arguments: [Int64.max, restoredAt, restoredAt])
        try database.execute(sql: "DELETE FROM configuration_keys")
        try database.execute(sql: "DELETE FROM recovery_keys")
        try database.execute(
            sql: "UPDATE tokens SET expires_at = ? WHERE spent_at IS NULL AND expires_at > ?",
            arguments: [backupAt, backupAt])
    }

    /// Clusters whose desired states wait for somebody to look at them.
    static func held(_ database: Database) throws -> [String] {
        try String.fetchAll(
            database, sql: "SELECT cluster FROM desired_versions WHERE renew_at = ? ORDER BY cluster",
            arguments: [Int64.max])
    }

    // MARK: identities that the backup does not have

    /// Whether this is an identity of a known node that the lost plane issued after the backup.
    func covers(_ certificate: Certificate, _ database: Database) throws -> (
        IssuedCertificates.Holder, AuthorityRecord
    )? {
        let issued = certificate.notBeforeSeconds + CertificateAuthority.backdating
        guard issued >= backupAt - Self.tolerance, issued <= restoredAt + Self.tolerance,
            let holder = try Self.holder(of: certificate, database),
            // Revoked, as a node's list has said.
            try Int64.fetchOne(
                database, sql: "SELECT count(*) FROM certificates WHERE serial = ?", arguments: [certificate.serialText]
            ) == 0
        else { return nil }
        let inForce = try AuthoritiesInForce(of: holder.cluster, database)
        let authority = inForce.intermediates(of: holder.cluster).first { record in
            record.revokedAt == nil && record.certificate.subject == certificate.issuer
                && record.certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
        }
        return authority.map { (holder, $0) }
    }

    /// Into the register, with an event; false: it is no such identity.
    static func adopt(der: [UInt8], _ log: PlaneLog, now: Int64, _ database: Database) throws -> Bool {
        let certificate = try Certificate(derEncoded: der)
        guard let restoration = try current(database),
            let (holder, authority) = try restoration.covers(certificate, database)
        else { return false }
        try IssuedCertificates.record(certificate, of: holder, by: authority, database)
        try log.record(
            PlaneEvent(
                name: "identity.adopt", actor: .node(serial: certificate.serialText), cluster: holder.cluster,
                node: holder.name,
                detail:
                    "issued after the backup of \(UnixTime.text(restoration.backupAt)) that this plane was made of, "
                    + "until \(UnixTime.text(certificate.notAfterSeconds))"),
            now: now, database)
        return true
    }

    /// Of an identity as agents ask for it: nobody but the node itself is ever given all three of these.
    private static func holder(
        of certificate: Certificate, _ database: Database
    ) throws -> IssuedCertificates.Holder? {
        let parts = certificate.subject.flatMap { Array($0) }
        func value(_ type: ASN1ObjectIdentifier) -> String? {
            let found = parts.filter { $0.type == type }
            return found.count == 1 ? String(found[0].value) : nil
        }
        guard let cluster = value(.RDNAttributeType.organizationName), let node = value(.RDNAttributeType.commonName),
            value(.RDNAttributeType.organizationalUnitName).map({ $0 == IssuancePolicy.identityRole }) ?? true,
            let names = try certificate.extensions.subjectAlternativeNames,
            names.contains(.uniformResourceIdentifier("spiffe://\(cluster)/node/\(node)")),
            names.contains(.dnsName(node)),
            try Int64.fetchOne(
                database, sql: "SELECT count(*) FROM nodes WHERE cluster = ? AND name = ?", arguments: [cluster, node])
                == 1
        else { return nil }
        return IssuedCertificates.Holder(kind: .node, cluster: cluster, name: node)
    }
}
