import IO

/// What a policy may ask about a peer: the names of its verified certificate, and the session that it asks for.
package struct PeerAttributes: Sendable, Equatable {
    var commonNames: [String] = []
    var organizations: [String] = []
    var organizationalUnits: [String] = []
    var dnsNames: [String] = []
    var addresses: [[UInt8]] = []
    var uris: [String] = []
    var emails: [String] = []
    var subject = ""
    var issuer = ""
    var serial = ""
    var publicKeySHA256: [UInt8] = []
    /// Extended key usages, as dotted object identifiers.
    var usages: [String] = []
    /// nil where the protocol has none before the policy decides.
    var session: SessionRequest?

    var isReplication: Bool { session?.isReplication == true }

    /// In the form in which rules compare them.
    func values(_ key: AccessRule.Key) -> [[UInt8]] {
        switch key {
        case .commonName: commonNames.map { Array($0.utf8) }
        case .organization: organizations.map { Array($0.utf8) }
        case .organizationalUnit: organizationalUnits.map { Array($0.utf8) }
        case .dns: dnsNames.map { Array($0.utf8) }
        case .email: emails.map { Array($0.utf8) }
        case .uri: uris.map { Array($0.utf8) }
        case .usage: usages.map { Array($0.utf8) }
        case .issuer: [Array(issuer.utf8)]
        case .ip: addresses
        case .serial: Self.serialBytes(serial).map { [$0] } ?? []
        case .spki: [publicKeySHA256]
        case .databaseUser: session?.user.map { [$0] } ?? []
        case .database: session?.database.map { [$0] } ?? []
        }
    }

    /// In the form in which people write them.
    func shown(_ key: AccessRule.Key) -> [String] {
        switch key {
        case .ip:
            addresses.compactMap { ($0.count == 4 ? SocketAddress.ipv4($0, port: 0) : .ipv6($0, port: 0)).host }
        case .serial: [serial]
        case .spki: ["sha256:" + publicKeySHA256.map { Self.hexadecimal($0) }.joined()]
        case .usage: usages.map(ExtendedKeyUsage.shown)
        default: values(key).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// The same holder, whichever of its certificates: what a CancelRequest over TLS must agree in.
    func isSameIdentity(as other: PeerAttributes) -> Bool {
        [[subject], uris, dnsNames, emails].elementsEqual([[other.subject], other.uris, other.dnsNames, other.emails]) {
            $0.elementsEqual($1) { $0.utf8.elementsEqual($1.utf8) }
        } && addresses == other.addresses
    }

    /// `0A:1B`, `0a1b` and `A1B` are one number.
    static func serialBytes(_ text: String) -> [UInt8]? {
        let digits = text.filter { $0 != ":" }
        guard let bytes = hexadecimal(digits.count.isMultiple(of: 2) ? digits[...] : ("0" + digits)[...]) else {
            return nil
        }
        let significant = bytes.drop { $0 == 0 }
        return significant.isEmpty ? (bytes.isEmpty ? nil : [0]) : Array(significant)
    }

    static func addressBytes(_ text: String) -> [UInt8]? {
        switch SocketAddress(text.contains(":") ? "[\(text)]:0" : "\(text):0") {
        case .ipv4(let bytes, _), .ipv6(let bytes, _): bytes
        case .unix, nil: nil
        }
    }

    static func hexadecimal(_ text: Substring) -> [UInt8]? {
        let digits = text.utf8.map { Self.digit($0) }
        guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        let values = digits.compactMap { $0 }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }

    private static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
