import Crypto
import FoundationEssentials

/// The key that wraps every backup's key. It lives in a file of its own (0600) and never leaves the process; a plane in
/// production keeps it in an HSM or KMS instead, behind these same two calls.
struct WrappingKey: Sendable, CustomStringConvertible {
    /// Which key this is: told to everybody, says nothing of the key.
    let id: String
    private let key: SymmetricKey

    var description: String { "wrapping key \(id)" }

    init(file: String) throws { self.init(bytes: try KeyFile.read(file)) }

    static func create(file: String) throws -> WrappingKey {
        let bytes = RandomBytes.make(32)
        try KeyFile.create(file, bytes)
        return WrappingKey(bytes: bytes)
    }

    init(bytes: [UInt8]) {
        key = SymmetricKey(data: bytes)
        let code = HMAC<SHA256>.authenticationCode(for: Array("nodeguard wrapping key id".utf8), using: key)
        id = "file-1-" + Hex.lower(code.prefix(8))
    }

    /// AES-256-GCM: nonce, ciphertext, tag. `salt` makes a wrapping key for this one backup key; when the plane forgets
    /// the salt, the backup is unreadable for ever, whoever has the wrap.
    func wrap(_ secret: [UInt8], salt: [UInt8], for context: KeyContext) throws -> [UInt8] {
        let box = try AES.GCM.seal(secret, using: derived(salt), authenticating: context.bytes)
        return Array(box.combined ?? Data())
    }

    /// nil if the wrap was made by another key, for another backup, or was changed.
    func unwrap(_ wrapped: [UInt8], salt: [UInt8], for context: KeyContext) -> [UInt8]? {
        guard let box = try? AES.GCM.SealedBox(combined: wrapped),
            let secret = try? AES.GCM.open(box, using: derived(salt), authenticating: context.bytes)
        else { return nil }
        return Array(secret)
    }

    private func derived(_ salt: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, salt: salt, info: Array("nodeguard backup key wrap 1".utf8), outputByteCount: 32)
    }
}

/// What a wrapped key is bound to: it opens for this cluster, backup and id only.
struct KeyContext: Sendable {
    let cluster: String
    let backup: String
    let id: String

    /// Each part with its length, so that no two contexts have the same bytes.
    var bytes: [UInt8] {
        [cluster, backup, id].flatMap { part -> [UInt8] in
            let utf8 = Array(part.utf8)
            let count = UInt32(utf8.count)
            return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + utf8
        }
    }
}
