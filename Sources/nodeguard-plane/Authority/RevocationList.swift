import FoundationEssentials
import SwiftASN1
import X509

/// Of a certificate that is revoked and has not expired.
struct RevokedCertificate {
    let serial: [UInt8]
    let at: Int64

    /// Of an intermediate, the leaves that it issued; of a root, the intermediates.
    static func all(by authority: AuthorityRecord, now: Int64, _ database: Database) throws -> [RevokedCertificate] {
        guard let cluster = authority.cluster else {
            return try AuthorityRecord.all(database).compactMap { record in
                guard record.root == authority.id, let at = record.revokedAt,
                    record.certificate.notAfterSeconds > now
                else { return nil }
                return RevokedCertificate(serial: Array(record.certificate.serialNumber.bytes), at: at)
            }
        }
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT serial, revoked_at FROM certificates
                WHERE cluster = ? AND authority = ? AND revoked_at IS NOT NULL AND not_after > ? ORDER BY serial
                """,
            arguments: [cluster, authority.id, now])
        return rows.compactMap { row in
            Hex.decode(row["serial"] as String).map { RevokedCertificate(serial: $0, at: row["revoked_at"]) }
        }
    }
}

/// The certificate revocation list of one authority (RFC 5280 §5), encoded and signed.
enum RevocationList {
    /// After this an agent that has not reached the plane must decide for itself (and alarm).
    static let lifetime: Int64 = 7 * 86_400

    static func make(
        of authority: CertificateAuthority, _ revoked: [RevokedCertificate], number: Int64, now: Int64,
        lifetime: Int64 = lifetime
    ) throws -> [UInt8] {
        let toBeSigned = try listBytes(authority, revoked, number, now, until: now + lifetime)
        let signature = try authority.sign(toBeSigned)
        var list = DER.Serializer()
        try list.appendConstructedNode(identifier: .sequence) { node in
            node.serializeRawBytes(toBeSigned)
            try appendAlgorithm(to: &node)
            try node.serialize(ASN1BitString(bytes: signature[...]))
        }
        return list.serializedBytes
    }

    private static func listBytes(
        _ authority: CertificateAuthority, _ revoked: [RevokedCertificate], _ number: Int64, _ now: Int64,
        until end: Int64
    ) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.appendConstructedNode(identifier: .sequence) { list in
            try list.serialize(1)
            try appendAlgorithm(to: &list)
            try list.serialize(authority.certificate.subject)
            try list.serialize(time(now - CertificateAuthority.backdating))
            try list.serialize(time(end))
            if !revoked.isEmpty {
                try list.appendConstructedNode(identifier: .sequence) { entries in
                    for entry in revoked {
                        try entries.appendConstructedNode(identifier: .sequence) { node in
                            try node.serialize(entry.serial[...])
                            try node.serialize(time(entry.at))
                        }
                    }
                }
            }
            try list.appendConstructedNode(identifier: ASN1Identifier(tagWithNumber: 0, tagClass: .contextSpecific)) {
                try appendExtensions(to: &$0, authority, number)
            }
        }
        return serializer.serializedBytes
    }

    /// RFC 5280 §5.2: the authority's key identifier, and a number that grows.
    private static func appendExtensions(
        to list: inout DER.Serializer, _ authority: CertificateAuthority, _ number: Int64
    ) throws {
        let identifier = try Certificate.Extension(authority.authorityKeyIdentifier, critical: false)
        var numberBytes = DER.Serializer()
        try numberBytes.serialize(number)
        try list.appendConstructedNode(identifier: .sequence) { extensions in
            for (oid, value) in [(identifier.oid, Array(identifier.value)), (crlNumber, numberBytes.serializedBytes)] {
                try extensions.appendConstructedNode(identifier: .sequence) { node in
                    try node.serialize(oid)
                    try node.serialize(ASN1OctetString(contentBytes: value[...]))
                }
            }
        }
    }

    private static func appendAlgorithm(to node: inout DER.Serializer) throws {
        try node.appendConstructedNode(identifier: .sequence) { try $0.serialize(ecdsaWithSHA256) }
    }

    /// The plane's lists are of this century's first half: UTCTime, as RFC 5280 §5.1.2.4 wants until 2049.
    private static func time(_ seconds: Int64) throws -> UTCTime {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
        let date = Date(timeIntervalSince1970: TimeInterval(seconds))
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        return try UTCTime(
            year: parts.year ?? 1970, month: parts.month ?? 1, day: parts.day ?? 1, hours: parts.hour ?? 0,
            minutes: parts.minute ?? 0, seconds: parts.second ?? 0)
    }

    private static let ecdsaWithSHA256: ASN1ObjectIdentifier = [1, 2, 840, 10045, 4, 3, 2]
    static let crlNumber: ASN1ObjectIdentifier = [2, 5, 29, 20]
}
