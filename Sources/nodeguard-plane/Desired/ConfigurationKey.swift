import Crypto
import FoundationEssentials
import PlaneAPI
import SwiftASN1
import X509

/// The key that signs a cluster's desired states, and nothing else: one for each cluster, in the token or a file of its
/// own, with a certificate by which the root, whose key every node has pinned, delegates that to it.
///
/// The certificate has the cluster as its organization, and one extended key usage of ours: nodes take no other
/// certificate for one of these, and TLS takes none of these for anything.
struct ConfigurationKey: Sendable {
    static let lifetime: Int64 = 2 * 365 * 86_400

    let certificate: Certificate
    private let key: SigningKey

    /// Makes one where there is none, or where what is left is less than half of its life.
    static func current(
        of cluster: String, _ state: PlaneState, by actor: PlaneEvent.Actor, now: Int64, _ database: Database
    ) throws -> ConfigurationKey {
        guard let known = try known(of: cluster, database) else {
            return try make(for: cluster, state, by: actor, now: now, database)
        }
        let certificate = known.certificate
        // One that another root has certified ends with that root.
        let root = try AuthoritiesInForce(database).planeRoot
        let isOfRoot = root?.certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
        // While the root is offline, as long as nodes take it.
        let isOffline = try root.map { try OfflineRoot.since($0, database) != nil && state.rootKey == nil } ?? false
        let least = isOffline ? DesiredStates.lifetime : lifetime / 2
        guard certificate.notAfterSeconds - now > least, isOfRoot == true else {
            return try make(for: cluster, state, by: actor, now: now, database)
        }
        if case .file(let name) = known.place, !StateFile.exists(state.keys.file(name)) {
            throw PlaneProblem(
                "\(state.keys.file(name)) is missing",
                remedy:
                    "restore it from your copy, or copy it from another plane of this database that has it, or make "
                    + "another: nodeguard-plane desired rotate-key")
        }
        return ConfigurationKey(
            certificate: certificate, key: try state.keys.find(known.place, of: certificate.publicKey))
    }

    /// nil: the cluster has none yet.
    static func known(
        of cluster: String, _ database: Database
    ) throws -> (certificate: Certificate, place: KeyPlace)? {
        let row = try Row.fetchOne(
            database, sql: "SELECT certificate, key_place FROM configuration_keys WHERE cluster = ?",
            arguments: [cluster])
        guard let row else { return nil }
        let der: Data = row["certificate"]
        let certificate = try Certificate(derEncoded: Array(der))
        let place: String? = row["key_place"]
        return (certificate, try place.map { try KeyPlace($0) } ?? .file(file(of: certificate.publicKey, cluster)))
    }

    /// A key's file is durable before the row that needs it. Nodes that have seen what it signs take nothing any more
    /// that the key before has signed.
    static func make(
        for cluster: String, _ state: PlaneState, by actor: PlaneEvent.Actor, now: Int64, _ database: Database
    ) throws -> ConfigurationKey {
        let key = try state.keys.make("configuration \(cluster)")
        let publicKey = key.publicKey
        guard let root = try AuthoritiesInForce(of: cluster, database).planeRoot else {
            throw PlaneProblem("there is no root", remedy: "restore the state folder from your copy")
        }
        let certificate = try root.load(from: state, database).issue(
            CertificateProfile(
                subject: try DistinguishedName {
                    OrganizationName(cluster)
                    CommonName("configuration key \(id(of: publicKey).prefix(8))")
                },
                publicKey: publicKey, keyEncipherment: false, alternativeNames: nil, usages: [], lifetime: lifetime,
                otherUsage: usage),
            now: now)
        let place = try key.keep(in: state.keys.file(file(of: publicKey, cluster)))
        try database.execute(
            sql: """
                INSERT INTO configuration_keys (cluster, certificate, created_at, key_place) VALUES (?, ?, ?, ?)
                ON CONFLICT (cluster) DO UPDATE SET certificate = excluded.certificate,
                created_at = excluded.created_at, key_place = excluded.key_place
                """,
            arguments: [cluster, Data(try certificate.derBytes), now, place.text])
        try state.log.record(
            PlaneEvent(
                name: "desired.key", actor: actor, cluster: cluster,
                detail: "\(certificate.subject), serial \(certificate.serialText), "
                    + "until \(UnixTime.text(certificate.notAfterSeconds))"),
            now: now, database)
        return ConfigurationKey(certificate: certificate, key: key)
    }

    func sign(_ desired: DesiredState) throws -> SignedEnvelope {
        let payload = try desired.payload
        let type = DesiredState.payloadType
        return SignedEnvelope(
            payloadType: type, payload: payload,
            signature: try key.sign(Self.authenticated(type: type, payload: payload)),
            certificate: try certificate.derBytes, keyID: "sha256:" + Self.id(of: certificate.publicKey))
    }

    /// DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md).
    static func authenticated(type: String, payload: [UInt8]) -> [UInt8] {
        var bytes = Array("DSSEv1".utf8)
        for part in [Array(type.utf8), payload] { bytes += Array(" \(part.count) ".utf8) + part }
        return bytes
    }

    /// 2.25 and a UUID in 128 bits, `DesiredState.keyUsage`: wider than a number that swift-asn1 takes.
    private static let usageBytes: [UInt8] = [
        0x69, 0x83, 0xD3, 0xCA, 0xA0, 0x81, 0xF8, 0xCB, 0x82, 0x95, 0xEF, 0x9A, 0x8E, 0xCE, 0x9A, 0xC0, 0xB6, 0xB8,
        0xAB, 0x0B,
    ]

    /// SEQUENCE { OBJECT IDENTIFIER } (RFC 5280 §4.2.1.12).
    private static var usage: Certificate.Extension {
        let identifier = [0x06, UInt8(usageBytes.count)] + usageBytes
        let value = [0x30, UInt8(identifier.count)] + identifier
        return Certificate.Extension(oid: .X509ExtensionID.extendedKeyUsage, critical: true, value: value[...])
    }

    private static func id(of key: Certificate.PublicKey) -> String {
        Hex.lower(key.digest)
    }

    private static func file(of key: Certificate.PublicKey, _ cluster: String) -> String {
        "configuration-\(cluster)-\(id(of: key).prefix(8)).key"
    }
}
