import IO
import OpenSSL

extension ProxyHeader {
    /// What a database is told of a client. `connection`: as the audit log has it.
    init(of client: ClientSocket, _ facts: TLSFacts?, connection: UInt64) {
        self.init(origin: .client(client.address, at: client.destination))
        if let facts { fields = Self.fields(facts) }
        fields.append(Field(FieldType.uniqueIdentifier, Array(String(connection).utf8)))
    }

    private static func fields(_ facts: TLSFacts) -> [Field] {
        let named: [(UInt8, String?)] = [
            (FieldType.applicationProtocol, facts.applicationProtocol), (FieldType.authority, facts.serverName),
        ]
        return named.compactMap { type, text in text.map { Field(type, Array($0.utf8)) } }
            + [Field(FieldType.tls, tls(facts))]
    }

    /// TLS, with a certificate on this connection and in this session, which was verified.
    private static let verifiedClient: [UInt8] = [0x07, 0, 0, 0, 0]
    /// X.520 has an upper bound of 64 characters, which nobody enforces.
    private static let commonNameLimit = 256

    private static func tls(_ facts: TLSFacts) -> [UInt8] {
        var parts: [(UInt8, String?)] = [(FieldType.tlsVersion, facts.version)]
        // A certificate with several has none that a database could go by.
        if let names = facts.chain.first?.commonNames, names.count == 1, names[0].utf8.count <= commonNameLimit {
            parts.append((FieldType.tlsCommonName, names[0]))
        }
        parts.append((FieldType.tlsCipher, facts.cipher))
        if let own = facts.ownCertificate {
            parts.append((FieldType.tlsSignatureAlgorithm, own.signatureAlgorithm))
            parts.append((FieldType.tlsKeyAlgorithm, own.keyAlgorithm))
        }
        return parts.reduce(into: verifiedClient) { bytes, part in
            if let text = part.1 { bytes += Field(part.0, Array(text.utf8)).bytes }
        }
    }
}

extension Certificate {
    /// As HAProxy calls it: `RSA2048`, `EC256`; nil for kinds that it has no name for.
    fileprivate var keyAlgorithm: String? {
        switch keyKind {
        case .ellipticCurve, .rsa: keyKind.rawValue + String(keyBits)
        case .ed25519, .other: nil
        }
    }
}
