import OpenSSL

/// The key of one message (K, derived from its data key), with the header that commits to it. Seals or opens the frames
/// of this message and of no other; wiped when its last user lets go.
final class MessageKey: Sendable {
    let header: MessageHeader
    private let key: SecretBytes

    private init(header: MessageHeader, derived: consuming DerivedKey) {
        self.header = header
        key = derived.key
    }

    /// A new message: fresh data key and message id, so that nothing persisted can make a nonce repeat.
    static func create(
        context: EncryptionContext, backupKey: BackupKey, frameLength: Int
    ) throws(BackupError) -> MessageKey {
        try cryptography("start a sealed message") {
            let dataKey = SecretBytes(random: DerivedKey.length)
            let wrap = try DataKeyWrap.wrap(dataKey, under: backupKey, context: context)
            let messageID = secureRandom(MessageHeader.messageIDLength)
            let derived = try DerivedKey(dataKey: dataKey, messageID: messageID)
            var header = MessageHeader(
                messageID: messageID, context: context, wraps: [wrap], frameLength: frameLength,
                commitment: derived.commitment)
            header.tag = try derived.tag(of: header)
            return MessageKey(header: header, derived: derived)
        }
    }

    /// The key of a stored message, if its header was made with `backupKey` for exactly this context.
    static func open(
        _ header: MessageHeader, expecting context: EncryptionContext, backupKey: BackupKey
    ) throws(BackupError) -> MessageKey {
        guard header.context == context else {
            throw BackupError(.corrupt, "it belongs to another backup, volume or cluster: \(header.context.pairs)")
        }
        return try cryptography("open a sealed message") {
            let dataKey = try DataKeyWrap.unwrap(header, under: backupKey)
            let derived = try DerivedKey(dataKey: dataKey, messageID: header.messageID)
            // Before the tag: a tag alone can be made to fit two keys.
            guard MessageAuthentication.equal(derived.commitment, header.commitment) else {
                throw BackupError(.corrupt, "its header does not commit to its key")
            }
            guard MessageAuthentication.equal(try derived.tag(of: header), header.tag) else {
                throw BackupError(.corrupt, "its header was changed")
            }
            return MessageKey(header: header, derived: derived)
        }
    }

    /// A cipher with this key, for one worker.
    func makeCipher() throws(BackupError) -> AES256GCM {
        try cryptography("set a cipher up") { try AES256GCM(key: key) }
    }
}

/// K and the commitment to it, both from one data key (ESDK: HKDF-SHA512 with the message id as salt).
private struct DerivedKey: ~Copyable {
    static let length = 32

    let key: SecretBytes
    let commitment: [UInt8]

    init(dataKey: borrowing SecretBytes, messageID: [UInt8]) throws {
        let key = try KeyDerivation.hkdfSHA512(
            secret: dataKey, salt: messageID, info: MessageHeader.suite + Array("DERIVEKEY".utf8), count: Self.length)
        let committed = try KeyDerivation.hkdfSHA512(
            secret: dataKey, salt: messageID, info: Array("COMMITKEY".utf8), count: MessageHeader.commitmentLength)
        commitment = committed.copy()
        self.key = key
    }

    /// With an IV of zeros: frames begin at 1, so no frame uses it.
    borrowing func tag(of header: MessageHeader) throws -> [UInt8] {
        try AES256GCM(key: key).seal(
            iv: [UInt8](repeating: 0, count: Frame.ivLength), aad: header.authenticated, [])
    }
}

/// A data key under the backup key, as the ESDK's raw AES keyring writes it.
private enum DataKeyWrap {
    private static let provider = Array("nodeguard".utf8)
    private static let tagLength = 16
    /// The lengths of tag (in bits) and IV, which stand before the IV.
    private static let sizes = bigEndian(UInt32(8 * tagLength)) + bigEndian(UInt32(Frame.ivLength))

    static func wrap(
        _ dataKey: borrowing SecretBytes, under backupKey: BackupKey, context: EncryptionContext
    ) throws -> WrappedDataKey {
        // Random, unlike the frames' IVs: one backup key wraps many data keys.
        let iv = secureRandom(Frame.ivLength)
        var plain = dataKey.copy()
        defer { wipe(&plain) }
        let wrapped = try backupKey.makeCipher().seal(iv: iv, aad: context.serialized, plain)
        return WrappedDataKey(
            provider: provider, information: Array(backupKey.id.utf8) + sizes + iv, wrapped: wrapped)
    }

    static func unwrap(_ header: MessageHeader, under backupKey: BackupKey) throws -> SecretBytes {
        let start = Array(backupKey.id.utf8) + sizes
        for wrap in header.wraps
        where wrap.provider == provider && wrap.information.count == start.count + Frame.ivLength
            && wrap.information.starts(with: start) && wrap.wrapped.count == DerivedKey.length + tagLength
        {
            let iv = Array(wrap.information.suffix(Frame.ivLength))
            let opened = try backupKey.makeCipher().open(iv: iv, aad: header.context.serialized, wrap.wrapped)
            if var plain = opened { return SecretBytes(taking: &plain) }
        }
        throw BackupError(.corrupt, "none of its wrapped keys opens with backup key \(backupKey.id)")
    }
}

/// Runs OpenSSL's part of something, and says what it was for when it fails.
func cryptography<Result: ~Copyable>(
    _ purpose: String, _ body: () throws -> Result
) throws(BackupError) -> Result {
    do {
        return try body()
    } catch let error as BackupError {
        throw error
    } catch {
        throw BackupError(.internalFault, "could not \(purpose): \(error)")
    }
}
