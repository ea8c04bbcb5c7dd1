import Crypto
import FoundationEssentials

/// The key that wraps every backup's key: AES-256, in the token, which it does not leave, or in a file of its own
/// (0600) and this process.
///
/// Either way a wrap opens only with the salt that the plane keeps beside it: when the plane forgets the salt, the
/// backup is unreadable for ever, whoever has wrap and key.
struct WrappingKey: Sendable, CustomStringConvertible {
    private enum Place: Sendable {
        case memory(SymmetricKey)
        case token(KeyToken, id: [UInt8])
    }

    /// Which key this is: told to everybody, says nothing of the key.
    let id: String
    private let place: Place

    var description: String { "wrapping key \(id)" }

    init(file: String) throws { self.init(bytes: try KeyFile.read(file)) }

    static func create(file: String) throws -> WrappingKey {
        let bytes = RandomBytes.make(32)
        try KeyFile.create(file, bytes)
        return WrappingKey(bytes: bytes)
    }

    init(bytes: [UInt8]) {
        let key = SymmetricKey(data: bytes)
        let code = HMAC<SHA256>.authenticationCode(for: Array("nodeguard wrapping key id".utf8), using: key)
        id = "file-1-" + Hex.lower(code.prefix(8))
        place = .memory(key)
    }

    // MARK: in the token

    private static let tokenPrefix = "hsm-1-"

    static func create(in token: KeyToken) throws -> WrappingKey {
        let id = try token.makeWrappingKey(label: "nodeguard-plane backup keys")
        return WrappingKey(token, id)
    }

    private init(_ token: KeyToken, _ key: [UInt8]) {
        id = Self.tokenPrefix + Hex.lower(key)
        place = .token(token, id: key)
    }

    /// As `id` names it; the token is not asked.
    init(named id: String, in token: KeyToken) throws {
        guard let key = Self.tokenID(of: id) else {
            throw PlaneProblem("the database names no wrapping key with '\(id)'", remedy: "restore it from your copy")
        }
        self.init(token, key)
    }

    /// CKA_ID; nil: that is a key in a file.
    static func tokenID(of id: String) -> [UInt8]? {
        id.hasPrefix(tokenPrefix) ? Hex.decode(id.dropFirst(tokenPrefix.count)) : nil
    }

    // MARK: wrapping

    func wrap(_ secret: [UInt8], salt: [UInt8], for context: KeyContext) throws -> [UInt8] {
        switch place {
        case .memory(let key): return try Self.seal(secret, key, salt, Self.purpose, context)
        case .token(let token, let id): return try wrap(secret, salt, context, token, id)
        }
    }

    /// nil if the wrap was made by another key, for another backup, or was changed.
    func unwrap(_ wrapped: [UInt8], salt: [UInt8], for context: KeyContext) throws -> [UInt8]? {
        switch place {
        case .memory(let key): return Self.open(wrapped, key, salt, Self.purpose, context)
        case .token(let token, let id):
            guard wrapped.count > Self.nonceLength else { return nil }
            let inner = try token.unseal(
                id, nonce: Array(wrapped[..<Self.nonceLength]), context: context.bytes,
                Array(wrapped[Self.nonceLength...]))
            return inner.flatMap { Self.open($0, Self.saltKey(salt), salt, Self.innerPurpose, context) }
        }
    }

    /// The secret is sealed under the salt here, and what comes of that by the token: neither opens it alone, and the
    /// token never sees it.
    ///
    /// CKM_AES_GCM and not CKM_AES_KEY_WRAP_PAD, for three reasons: it binds the wrap to its backup in the token
    /// itself; the other works on keys that are objects, so that the secret would have to be put into the token,
    /// extractable; and a key that may wrap keys may bring out others. The nonce is random: 2³² wraps under one key are
    /// allowed (NIST SP 800-38D §8.3). A token that takes another nonce than it was given is seen at once, since each
    /// wrap is opened before it counts.
    private func wrap(
        _ secret: [UInt8], _ salt: [UInt8], _ context: KeyContext, _ token: KeyToken, _ id: [UInt8]
    ) throws -> [UInt8] {
        let inner = try Self.seal(secret, Self.saltKey(salt), salt, Self.innerPurpose, context)
        let nonce = RandomBytes.make(Self.nonceLength)
        let sealed = try token.seal(id, nonce: nonce, context: context.bytes, inner)
        guard sealed != inner, try token.unseal(id, nonce: nonce, context: context.bytes, sealed) == inner else {
            throw TokenProblem(fault: nil, text: "the token does not open what it has sealed (CKM_AES_GCM)")
        }
        return nonce + sealed
    }

    private static let nonceLength = 12
    private static let purpose = "nodeguard backup key wrap 1"
    private static let innerPurpose = "nodeguard backup key salt 1"

    private static func saltKey(_ salt: [UInt8]) -> SymmetricKey { SymmetricKey(data: salt) }

    /// AES-256-GCM: nonce, ciphertext, tag. `salt` makes a key for this one backup key.
    private static func seal(
        _ secret: [UInt8], _ key: SymmetricKey, _ salt: [UInt8], _ purpose: String, _ context: KeyContext
    ) throws -> [UInt8] {
        let box = try AES.GCM.seal(secret, using: derived(key, salt, purpose), authenticating: context.bytes)
        return Array(box.combined ?? Data())
    }

    private static func open(
        _ wrapped: [UInt8], _ key: SymmetricKey, _ salt: [UInt8], _ purpose: String, _ context: KeyContext
    ) -> [UInt8]? {
        guard let box = try? AES.GCM.SealedBox(combined: wrapped),
            let secret = try? AES.GCM.open(box, using: derived(key, salt, purpose), authenticating: context.bytes)
        else { return nil }
        return Array(secret)
    }

    private static func derived(_ key: SymmetricKey, _ salt: [UInt8], _ purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: key, salt: salt, info: Array(purpose.utf8), outputByteCount: 32)
    }
}

/// Of a plane that got its token later: the token's key wraps, and what the file's has wrapped is opened with that.
struct WrappingKeys: Sendable {
    let current: WrappingKey
    let former: WrappingKey?

    /// nil: this plane has none of this name.
    func named(_ id: String) -> WrappingKey? { [current, former].compactMap { $0 }.first { $0.id == id } }
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
