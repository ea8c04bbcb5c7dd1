import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A revocation list of the plane that is lost, as a node has kept it: whom that one had revoked since its backup, in
/// its own words.
struct LostRevocationList: Sendable {
    let number: Int64
    /// thisUpdate, in seconds since 1970.
    let madeAt: Int64
    let entries: [RevokedCertificate]
    /// Its name, for people.
    let issuer: String
    private let toBeSigned: [UInt8]
    private let signature: [UInt8]
    private let der: [UInt8]
    private let source: String

    private static let sizeLimit = 64 << 20

    /// One behind the other in DER, as nodes keep them (`revocation/cluster.crl`).
    static func read(_ path: String) throws -> [LostRevocationList] {
        let bytes = try InputFile(path).read(sizeLimit + 1)
        guard bytes.count <= sizeLimit else {
            throw PlaneProblem("\(path) is too large", remedy: "name a node's revocation/cluster.crl")
        }
        var lists: [LostRevocationList] = []
        var rest = bytes[...]
        while let size = size(of: rest) {
            guard let list = try? LostRevocationList(Array(rest.prefix(size)), path) else { break }
            lists.append(list)
            rest = rest.dropFirst(size)
        }
        guard rest.isEmpty, !lists.isEmpty else {
            throw PlaneProblem(
                "\(path) holds something else than revocation lists in DER, at byte \(bytes.count - rest.count)",
                remedy: "name a node's revocation/cluster.crl")
        }
        return lists
    }

    /// How long the next SEQUENCE is; nil: there is none.
    private static func size(of bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count > 2, bytes.first == 0x30 else { return nil }
        let first = Int(bytes[bytes.startIndex + 1])
        if first < 0x80 { return 2 + first <= bytes.count ? 2 + first : nil }
        let digits = first - 0x80
        guard (1...4).contains(digits), bytes.count > 2 + digits else { return nil }
        let length: Int = BigEndian.number(bytes.dropFirst(2).prefix(digits))
        return 2 + digits + length <= bytes.count ? 2 + digits + length : nil
    }

    /// RFC 5280 §5.1.
    private init(_ der: [UInt8], _ source: String) throws {
        self.der = der
        self.source = source
        (toBeSigned, signature, (issuer, number, madeAt, entries)) = try DER.sequence(
            try DER.parse(der), identifier: .sequence
        ) { list in
            guard let body = list.next(), list.next() != nil, let signed = list.next() else {
                throw BackupRecord.malformed
            }
            let bits = try ASN1BitString(derEncoded: signed)
            return (Array(body.encodedBytes), Array(bits.bytes), try Self.contents(of: body))
        }
    }

    private static func contents(of body: ASN1Node) throws -> (String, Int64, Int64, [RevokedCertificate]) {
        try DER.sequence(body, identifier: .sequence) { fields in
            _ = try Int(derEncoded: &fields)
            guard fields.next() != nil, let name = fields.next() else { throw BackupRecord.malformed }
            let issuer = try DistinguishedName(derEncoded: name).description
            let madeAt = try time(fields.next())
            var next = fields.next()
            if let found = next, found.identifier != .sequence, found.identifier.tagClass == .universal {
                _ = try time(found)
                next = fields.next()
            }
            var entries: [RevokedCertificate] = []
            if let found = next, found.identifier == .sequence {
                entries = try self.entries(of: found)
                next = fields.next()
            }
            guard let extensions = next, let number = try Self.number(in: extensions) else {
                throw BackupRecord.malformed
            }
            return (issuer, number, madeAt, entries)
        }
    }

    private static func entries(of node: ASN1Node) throws -> [RevokedCertificate] {
        try DER.sequence(node, identifier: .sequence) { nodes in
            var entries: [RevokedCertificate] = []
            while let entry = nodes.next() {
                entries.append(
                    try DER.sequence(entry, identifier: .sequence) { fields in
                        let serial = try ArraySlice<UInt8>(derEncoded: &fields)
                        let at = try time(fields.next())
                        while fields.next() != nil {}
                        return RevokedCertificate(serial: Array(serial.drop { $0 == 0 }), at: at)
                    })
            }
            return entries
        }
    }

    private static func number(in node: ASN1Node) throws -> Int64? {
        try DER.explicitlyTagged(node, tagNumber: 0, tagClass: .contextSpecific) { inner in
            let extensions = try DER.sequence(
                of: X509.Certificate.Extension.self, identifier: .sequence, rootNode: inner)
            return try extensions.first { $0.oid == RevocationList.crlNumber }.map {
                try Int64(derEncoded: DER.parse(Array($0.value)))
            }
        }
    }

    private static func time(_ node: ASN1Node?) throws -> Int64 {
        guard let node else { throw BackupRecord.malformed }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
        var parts = DateComponents()
        if node.identifier == .generalizedTime {
            let time = try GeneralizedTime(derEncoded: node)
            (parts.year, parts.month, parts.day) = (time.year, time.month, time.day)
            (parts.hour, parts.minute, parts.second) = (time.hours, time.minutes, time.seconds)
        } else {
            let time = try UTCTime(derEncoded: node)
            (parts.year, parts.month, parts.day) = (time.year, time.month, time.day)
            (parts.hour, parts.minute, parts.second) = (time.hours, time.minutes, time.seconds)
        }
        guard let date = calendar.date(from: parts) else { throw BackupRecord.malformed }
        return Int64(date.timeIntervalSince1970)
    }

    // MARK: into the register

    /// What became of lists: how many certificates were not revoked before, and whose lists say nothing here.
    struct Taken {
        var revoked = 0
        /// Names of authorities that were made after the backup: nothing that they issued counts in this plane.
        var unknown: [String] = []
    }

    /// A file that has no list of an authority of this plane is another plane's.
    static func take(_ lists: [LostRevocationList], _ database: Database) throws -> Taken {
        var (taken, fitting) = (Taken(), Set<String>())
        for list in lists {
            if let authority = try list.authority(database) {
                fitting.insert(list.source)
                taken.revoked += try list.take(of: authority, database)
            } else {
                taken.unknown.append(list.issuer)
            }
        }
        if let foreign = lists.first(where: { !fitting.contains($0.source) }) {
            throw PlaneProblem(
                "\(foreign.source) holds lists that none of this plane's authorities has signed",
                remedy: "nothing was restored; name a list of this plane's own nodes")
        }
        return taken
    }

    private func authority(_ database: Database) throws -> AuthorityRecord? {
        try AuthorityRecord.all(database).first { record in
            guard let key = P256.Signing.PublicKey(record.certificate.publicKey),
                let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: toBeSigned)
        }
    }

    /// Revokes whom it names, and has the next list numbered after it; returns how many were not revoked before.
    private func take(of authority: AuthorityRecord, _ database: Database) throws -> Int {
        try goOn(after: authority, database)
        let revoked = try entries.reduce(0) { try $0 + (revoke($1, authority, database) ? 1 : 0) }
        if try OfflineRoot.since(authority, database) != nil { try keep(authority, database) }
        return revoked
    }

    /// Nobody could sign another one.
    private func keep(_ root: AuthorityRecord, _ database: Database) throws {
        try database.execute(
            sql: """
                UPDATE revocation_lists SET der = ?, made_at = ? WHERE authority = ? AND number = ?
                """,
            arguments: [Data(der), madeAt + CertificateAuthority.backdating, "#\(root.id)", number])
    }

    private func goOn(after authority: AuthorityRecord, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO revocation_lists (authority, issuer, number, revocations, made_at, der)
                VALUES (?, ?, ?, -1, 0, ?)
                ON CONFLICT (authority) DO UPDATE SET number = excluded.number, revocations = -1, made_at = 0
                WHERE revocation_lists.number < excluded.number
                """,
            arguments: ["#\(authority.id)", Data(authority.der), number, Data(der)])
    }

    private func revoke(_ entry: RevokedCertificate, _ authority: AuthorityRecord, _ database: Database) throws -> Bool
    {
        let serial = Hex.upper(entry.serial)
        guard let cluster = authority.cluster else {
            let revoked = try AuthorityRecord.all(database).first {
                $0.root == authority.id && $0.revokedAt == nil && $0.certificate.serialText == serial
            }
            try revoked.map { try AuthorityRecord.revoke($0, now: entry.at, database) }
            return revoked != nil
        }
        if try IssuedCertificates.revoke(serial: serial, now: entry.at, database) != nil { return true }
        return try IssuedCertificates.recordLost(
            serial: serial, revokedAt: entry.at, of: cluster, by: authority, database)
    }
}
