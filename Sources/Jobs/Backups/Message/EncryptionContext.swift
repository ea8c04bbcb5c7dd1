/// The pairs that a message carries in clear and authenticates (ESDK "encryption context"). They bind a message to its
/// cluster, backup and volume, so that nothing can be spliced from one backup into another.
package struct EncryptionContext: Equatable, Sendable {
    /// More than any message of ours needs; a reader refuses more before it allocates.
    static let byteLimit = 65_535
    static let reservedPrefix = "aws-crypto-"

    let pairs: [String: String]
    /// Count and pairs, sorted by the UTF-8 bytes of the keys; nothing at all for an empty context. This is the
    /// associated data of a raw AES wrap, and with a length before it, a field of the header.
    let serialized: [UInt8]

    /// `pairs` of our own making: they fit and do not use the reserved prefix.
    init(_ pairs: [String: String]) {
        precondition(pairs.keys.allSatisfy { !$0.hasPrefix(Self.reservedPrefix) && !$0.isEmpty })
        self.pairs = pairs
        serialized = Self.serialize(pairs)
        precondition(serialized.count <= Self.byteLimit)
    }

    /// What one object of a backup says of itself.
    init(cluster: String, backup: BackupIdentifier, kind: MessageKind, volume: Int, keyName: String) {
        self.init([
            "ng:v": "1", "ng:cluster": cluster, "ng:backup": backup.text, "ng:vol": String(volume),
            "ng:kind": kind.rawValue, "ng:bk": keyName, "ng:cmp": "none",
        ])
    }

    /// Only the canonical form is accepted: whole, sorted, no key twice, valid UTF-8.
    static func parse(_ bytes: [UInt8]) throws(MalformedMessage) -> EncryptionContext {
        do {
            return try parseWhole(bytes)
        } catch {
            // Its length was given and its bytes are all here: more of the message cannot make it whole.
            throw MalformedMessage(error.description)
        }
    }

    private static func parseWhole(_ bytes: [UInt8]) throws(MalformedMessage) -> EncryptionContext {
        if bytes.isEmpty { return EncryptionContext([:]) }
        var cursor = ByteCursor(bytes)
        let count = Int(try cursor.integer16("count of the encryption context"))
        var pairs: [String: String] = [:]
        for _ in 0..<count {
            let key = try text(of: &cursor)
            let value = try text(of: &cursor)
            guard pairs.updateValue(value, forKey: key) == nil, !key.isEmpty, !key.hasPrefix(reservedPrefix) else {
                throw MalformedMessage("the encryption context has a key that is empty, reserved, or there twice")
            }
        }
        guard cursor.isAtEnd, serialize(pairs) == bytes else {
            throw MalformedMessage("the encryption context is not in canonical form")
        }
        return EncryptionContext(pairs)
    }

    private static func text(of cursor: inout ByteCursor) throws(MalformedMessage) -> String {
        let count = Int(try cursor.integer16("length in the encryption context"))
        let bytes = try cursor.bytes(count, "the encryption context")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw MalformedMessage("the encryption context is not valid UTF-8")
        }
        return text
    }

    private static func serialize(_ pairs: [String: String]) -> [UInt8] {
        if pairs.isEmpty { return [] }
        var bytes = bigEndian(UInt16(clamping: pairs.count))
        for (key, value) in pairs.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            for text in [key, value] { bytes += bigEndian(UInt16(clamping: text.utf8.count)) + Array(text.utf8) }
        }
        return bytes
    }

    /// Byte for byte: two strings that merely look the same to Unicode differ here.
    package static func == (left: EncryptionContext, right: EncryptionContext) -> Bool {
        left.serialized == right.serialized
    }
}

/// What a message of a backup holds.
package enum MessageKind: String, Sendable {
    case data, manifest
}
