import FoundationEssentials
import SwiftASN1
import X509

/// What one node may be certified for at one label: exactly these names and usages, this long. Pure; it alone turns a
/// wish into a profile.
struct IssuancePolicy: Sendable {
    let cluster: String
    let node: String
    /// nil: the node identity itself.
    let role: String?
    var dns: [String] = []
    var addresses: [NetworkAddress] = []
    var uris: [String] = []
    var usages: Set<CertificateUsage> = [.client]
    var lifetime: Int64 = defaultLifetime

    static let defaultLifetime: Int64 = 30 * 86_400
    /// The name of the node identity among the roles, so that an operator can allow it more.
    static let identityRole = "node"

    /// What a node's identity may say when nobody said otherwise: its own name, nothing else.
    static func identity(of node: String, in cluster: String) -> IssuancePolicy {
        IssuancePolicy(cluster: cluster, node: node, role: nil, dns: [node], uris: ["spiffe://\(cluster)/node/\(node)"])
    }

    /// For the log.
    var summary: String {
        let names = dns + addresses.map(\.description) + uris
        let usages = usages.sorted().map(\.rawValue).joined(separator: ",")
        return "role \(role ?? Self.identityRole), names [\(names.joined(separator: " "))], usage \(usages), "
            + "\(lifetime) s"
    }

    func decide(_ request: EnrollmentRequest) throws(Refusal) -> CertificateProfile {
        try checkSubject(request.subject)
        for name in request.names { try check(name) }
        if let wished = request.usages, let first = wished.subtracting(usages).sorted().first {
            throw .denied("usage-not-allowed", "\(place) may not be certified for the usage \(first.rawValue)")
        }
        return CertificateProfile(
            subject: request.subject.isEmpty ? try defaultSubject() : request.subject, publicKey: request.publicKey,
            keyEncipherment: request.isRSA, alternativeNames: request.alternativeNames,
            usages: request.usages ?? usages, lifetime: lifetime)
    }

    private var place: String { "\(node) of \(cluster)" + (role.map { " in the role \($0)" } ?? "") }

    private func defaultSubject() throws(Refusal) -> DistinguishedName {
        do {
            return try DistinguishedName {
                OrganizationName(cluster)
                CommonName(node)
            }
        } catch {
            throw .malformedRequest("no subject can be made for \(place): \(error)")
        }
    }

    /// Only CN, O and OU, one attribute a step, with values that name this node and nobody else. Typed and byte-exact.
    private func checkSubject(_ subject: DistinguishedName) throws(Refusal) {
        guard subject.count <= 4 else { throw .denied("name-not-allowed", "the subject has more than four parts") }
        for step in subject {
            guard step.count == 1, let attribute = step.first, let value = String(attribute.value) else {
                throw .denied("name-not-allowed", "the subject \(subject) has a part that is not plain text")
            }
            let allowed: [String]
            switch attribute.type {
            case .RDNAttributeType.commonName: allowed = [node] + (role == nil ? [] : dns)
            case .RDNAttributeType.organizationName: allowed = [cluster]
            case .RDNAttributeType.organizationalUnitName: allowed = [role ?? Self.identityRole]
            default: allowed = []
            }
            guard allowed.contains(where: { $0.utf8.elementsEqual(value.utf8) }) else {
                throw .denied("name-not-allowed", "\(place) may not be certified for the subject \(subject)")
            }
        }
    }

    private func check(_ name: GeneralName) throws(Refusal) {
        switch name {
        case .dnsName(let text) where dns.contains { $0.utf8.elementsEqual(text.utf8) }: return
        case .uniformResourceIdentifier(let text) where uris.contains { $0.utf8.elementsEqual(text.utf8) }: return
        case .ipAddress(let octets) where addresses.contains { $0.bytes.elementsEqual(octets.bytes) }: return
        default: throw .denied("name-not-allowed", "\(place) may not be certified for the name \(Self.text(name))")
        }
    }

    private static func text(_ name: GeneralName) -> String {
        switch name {
        case .dnsName(let text): "DNS:\(text)"
        case .uniformResourceIdentifier(let text): "URI:\(text)"
        case .ipAddress(let octets):
            "IP:" + (NetworkAddress(bytes: Array(octets.bytes))?.description ?? "of a wrong length")
        case .rfc822Name(let text): "email:\(text)"
        default: "of a kind that is never issued"
        }
    }
}

/// The policies as the operator allowed them, one row for each node and role.
extension IssuancePolicy {
    static func find(cluster: String, node: String, role: String?, _ database: Database) throws -> IssuancePolicy? {
        let row = try Row.fetchOne(
            database, sql: "SELECT * FROM roles WHERE cluster = ? AND node = ? AND role = ?",
            arguments: [cluster, node, role ?? identityRole])
        guard let row else { return role == nil ? identity(of: node, in: cluster) : nil }
        return try IssuancePolicy(row)
    }

    static func all(_ database: Database) throws -> [IssuancePolicy] {
        try Row.fetchAll(database, sql: "SELECT * FROM roles ORDER BY cluster, node, role").map(IssuancePolicy.init)
    }

    private init(_ row: Row) throws {
        let role: String = row["role"]
        self.init(
            cluster: row["cluster"], node: row["node"], role: role == Self.identityRole ? nil : role,
            dns: try Self.list(row["dns"]), addresses: try Self.list(row["addresses"]).compactMap(NetworkAddress.init),
            uris: try Self.list(row["uris"]),
            usages: Set(try Self.list(row["usages"]).compactMap(CertificateUsage.init)), lifetime: row["lifetime"])
    }

    func store(_ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO roles (cluster, node, role, dns, addresses, uris, usages, lifetime)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (cluster, node, role) DO UPDATE SET dns = excluded.dns, addresses = excluded.addresses,
                    uris = excluded.uris, usages = excluded.usages, lifetime = excluded.lifetime
                """,
            arguments: [
                cluster, node, role ?? Self.identityRole, try Self.text(dns),
                try Self.text(addresses.map(\.description)),
                try Self.text(uris), try Self.text(usages.sorted().map(\.rawValue)), lifetime,
            ])
    }

    private static func list(_ json: String) throws -> [String] {
        try JSONDecoder().decode([String].self, from: Data(json.utf8))
    }

    private static func text(_ list: [String]) throws -> String {
        String(decoding: try JSONEncoder().encode(list), as: UTF8.self)
    }
}
