extension AccessRule.Key {
    /// The values of a rule in the form in which `PeerAttributes.values` has those of a peer.
    func compiled(_ values: [String]) throws(AccessRule.Mistake) -> Set<[UInt8]> {
        var all: Set<[UInt8]> = []
        for value in values { all.insert(try compiled(value)) }
        return all
    }

    private func compiled(_ value: String) throws(AccessRule.Mistake) -> [UInt8] {
        if value.isEmpty { throw mistake(value, "is empty") }
        switch self {
        case .ip: return try parsed(value, PeerAttributes.addressBytes, "is no IP address")
        case .serial: return try parsed(value, PeerAttributes.serialBytes, "is no hexadecimal serial")
        case .spki: return try parsed(value, Self.spkiHash, "is not sha256: and 64 hexadecimal digits")
        case .usage:
            return try parsed(
                value, { ExtendedKeyUsage.identifier(of: $0).map { Array($0.utf8) } },
                "is no extended key usage: write a name such as clientAuth, or an object identifier")
        case .databaseUser, .database:
            guard value.utf8.count <= SessionRequest.nameLimit else {
                throw mistake(value, "is longer than the \(SessionRequest.nameLimit) bytes of a name in PostgreSQL")
            }
            return Array(value.utf8)
        case .commonName, .organization, .organizationalUnit, .dns, .email:
            if value.contains("*") { throw mistake(value, "`*` has a meaning in `uri` only") }
            return Array(value.utf8)
        case .issuer, .uri: return Array(value.utf8)
        }
    }

    private func parsed(
        _ value: String, _ parse: (String) -> [UInt8]?, _ reason: String
    ) throws(AccessRule.Mistake) -> [UInt8] {
        guard let bytes = parse(value), !bytes.isEmpty else { throw mistake(value, reason) }
        return bytes
    }

    private func mistake(_ value: String, _ reason: String) -> AccessRule.Mistake {
        AccessRule.Mistake(key: self, value: value, reason: reason)
    }

    private static func spkiHash(_ text: String) -> [UInt8]? {
        guard text.hasPrefix("sha256:") else { return nil }
        let bytes = PeerAttributes.hexadecimal(text.dropFirst("sha256:".count))
        return bytes?.count == 32 ? bytes : nil
    }
}

/// Names of extended key usages (RFC 5280 §4.2.1.12, as OpenSSL spells them) and their object identifiers.
enum ExtendedKeyUsage {
    private static let known = [
        ("clientAuth", "1.3.6.1.5.5.7.3.2"), ("serverAuth", "1.3.6.1.5.5.7.3.1"),
        ("codeSigning", "1.3.6.1.5.5.7.3.3"), ("emailProtection", "1.3.6.1.5.5.7.3.4"),
        ("timeStamping", "1.3.6.1.5.5.7.3.8"), ("OCSPSigning", "1.3.6.1.5.5.7.3.9"),
        ("ipsecIKE", "1.3.6.1.5.5.7.3.17"), ("msSmartcardLogin", "1.3.6.1.4.1.311.20.2.2"),
        ("anyExtendedKeyUsage", "2.5.29.37.0"),
        // As the roles of `certificates:` have them.
        ("client", "1.3.6.1.5.5.7.3.2"), ("server", "1.3.6.1.5.5.7.3.1"),
    ]
    private static let longest = 127

    static func identifier(of text: String) -> String? {
        if let known = known.first(where: { $0.0 == text }) { return known.1 }
        let arcs = text.split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= longest, arcs.count >= 2, arcs.allSatisfy(isArc), let first = UInt8(arcs[0]),
            first < 2 || (first == 2 && arcs[0].count == 1)
        else { return nil }
        return first == 2 || (UInt8(arcs[1]) ?? .max) < 40 ? text : nil
    }

    static func shown(_ identifier: String) -> String {
        known.first { $0.1 == identifier }.map { "\($0.0) (\(identifier))" } ?? identifier
    }

    private static func isArc(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } && (text.count == 1 || text.first != "0")
    }
}
