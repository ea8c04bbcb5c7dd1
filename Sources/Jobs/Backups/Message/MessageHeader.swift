/// One wrap of a message's data key (ESDK "encrypted data key").
struct WrappedDataKey: Equatable, Sendable {
    /// A KMS blob is the largest in use, below 1 KiB.
    static let fieldLimit = 8192

    let provider: [UInt8]
    let information: [UInt8]
    let wrapped: [UInt8]
}

/// The header of one AWS Encryption SDK message, format version 2, suite 0x0478. A value without any key: who made it
/// is decided by `MessageKey`, which checks commitment and tag.
struct MessageHeader: Equatable, Sendable {
    static let version: UInt8 = 2
    /// AES-256-GCM, HKDF-SHA512, key commitment, no signature.
    static let suite: [UInt8] = [0x04, 0x78]
    static let framed: UInt8 = 2
    static let messageIDLength = 32
    static let commitmentLength = 32
    static let tagLength = 16
    static let wrapLimit = 8
    /// What a reader allocates for, whatever the header says.
    static let frameLengths = 1...(16 << 20)
    static let byteLimit = 320 << 10

    let messageID: [UInt8]
    let context: EncryptionContext
    let wraps: [WrappedDataKey]
    let frameLength: Int
    let commitment: [UInt8]
    /// AES-256-GCM over `authenticated`, with an IV of zeros and no plaintext.
    var tag: [UInt8] = []

    /// All bytes before the tag; the tag's associated data.
    var authenticated: [UInt8] {
        var bytes = [Self.version] + Self.suite + messageID
        bytes += bigEndian(UInt16(context.serialized.count)) + context.serialized
        bytes += bigEndian(UInt16(wraps.count))
        for wrap in wraps {
            for field in [wrap.provider, wrap.information, wrap.wrapped] {
                bytes += bigEndian(UInt16(field.count)) + field
            }
        }
        return bytes + [Self.framed] + bigEndian(UInt32(frameLength)) + commitment
    }

    var encoded: [UInt8] { authenticated + tag }

    /// The header at the start of `bytes`, and its length. An error may ask for `missing` bytes.
    static func parse(_ bytes: [UInt8]) throws(MalformedMessage) -> (header: MessageHeader, length: Int) {
        var cursor = ByteCursor(bytes)
        guard try cursor.integer8("the version") == version else {
            throw MalformedMessage("not an encrypted message of version 2")
        }
        guard try cursor.bytes(2, "the suite") == suite else {
            throw MalformedMessage("another algorithm suite than 0478")
        }
        let messageID = try cursor.bytes(messageIDLength, "the message id")
        let contextLength = Int(try cursor.integer16("the length of the encryption context"))
        let context = try EncryptionContext.parse(cursor.bytes(contextLength, "the encryption context"))
        let wraps = try parseWraps(&cursor)
        guard try cursor.integer8("the content type") == framed else {
            throw MalformedMessage("the message is not framed")
        }
        let frameLength = try cursor.integer32("the frame length")
        guard frameLengths.contains(Int(frameLength)) else {
            throw MalformedMessage("a frame length of \(frameLength) bytes is out of bounds")
        }
        let commitment = try cursor.bytes(commitmentLength, "the commitment")
        let tag = try cursor.bytes(tagLength, "the header's tag")
        let header = MessageHeader(
            messageID: messageID, context: context, wraps: wraps, frameLength: Int(frameLength),
            commitment: commitment, tag: tag)
        return (header, cursor.offset)
    }

    private static func parseWraps(_ cursor: inout ByteCursor) throws(MalformedMessage) -> [WrappedDataKey] {
        let count = Int(try cursor.integer16("the count of wrapped keys"))
        guard (1...wrapLimit).contains(count) else {
            throw MalformedMessage("\(count) wrapped keys, of 1 to \(wrapLimit) allowed")
        }
        var wraps: [WrappedDataKey] = []
        for _ in 0..<count {
            let provider = try parseField(&cursor)
            let information = try parseField(&cursor)
            wraps.append(WrappedDataKey(provider: provider, information: information, wrapped: try parseField(&cursor)))
        }
        return wraps
    }

    private static func parseField(_ cursor: inout ByteCursor) throws(MalformedMessage) -> [UInt8] {
        let count = Int(try cursor.integer16("the length of a wrapped key's field"))
        guard count <= WrappedDataKey.fieldLimit else {
            throw MalformedMessage("a wrapped key's field of \(count) bytes is too long")
        }
        return try cursor.bytes(count, "a wrapped key")
    }
}
