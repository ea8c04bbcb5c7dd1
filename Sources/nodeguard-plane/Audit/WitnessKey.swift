import Crypto
import FoundationEssentials
import PlaneAPI

/// The plane's own Ed25519 key, with which it says that it saw a node's checkpoint: a witness in the sense of C2SP
/// tlog-witness. It signs the plane's own log too, whose text never begins as a cosignature's. In a file of its own
/// (0600).
struct WitnessKey: Sendable, CustomStringConvertible {
    private let key: Curve25519.Signing.PrivateKey
    private let markKey: SymmetricKey
    /// Of the public key, in hex.
    let id: String

    /// Of the witness, and the origin of the plane's own log.
    var name: String { AuditBatches.planeOrigin(id) }

    var description: String { name }
    var publicKey: Data { key.publicKey.rawRepresentation }

    init(file: String) throws {
        try self.init(bytes: try KeyFile.read(file))
    }

    static func create(file: String) throws -> WitnessKey {
        let bytes = Array(Curve25519.Signing.PrivateKey().rawRepresentation)
        try KeyFile.create(file, bytes)
        return try WitnessKey(bytes: bytes)
    }

    init(bytes: [UInt8]) throws {
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
        id = Hex.lower(SHA256.hash(data: key.publicKey.rawRepresentation).prefix(8))
        markKey = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: bytes), info: Array("nodeguard plane event mark 1".utf8),
            outputByteCount: 32)
    }

    /// What a verifier needs to know of us.
    var verifierKey: String { SignedNote.verifierKey(name: name, algorithm: .cosignature, key: key.publicKey) }

    private var keyHash: [UInt8] { SignedNote.keyHash(name: name, algorithm: .cosignature, key: key.publicKey) }

    /// One signature line over the checkpoint's text (C2SP tlog-cosignature v1), with its time.
    func cosign(_ text: String, now: Int64) throws -> String {
        let time = Self.bigEndian(UInt64(clamping: now))
        let signature = try key.signature(for: Self.message(text, now))
        return SignedNote.line(name: name, keyHash: keyHash, signature: time + Array(signature))
    }

    func isCosigned(_ text: String, by line: String) -> Bool {
        guard let note = try? SignedNote(Array((text + "\n" + line).utf8)), let signature = note.signatures.first,
            note.text == text, signature.name == name, signature.keyHash == keyHash, signature.bytes.count == 72
        else { return false }
        let time = signature.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return key.publicKey.isValidSignature(
            signature.bytes.dropFirst(8), for: Self.message(text, Int64(clamping: time)))
    }

    // MARK: The plane's own log

    /// What a verifier needs to know of the plane's own log.
    var logVerifierKey: String { SignedNote.verifierKey(name: name, algorithm: .ed25519, key: key.publicKey) }

    /// A checkpoint of the plane's own log, with its signature.
    func sign(_ text: String) throws -> String {
        let hash = SignedNote.keyHash(name: name, algorithm: .ed25519, key: key.publicKey)
        let signature = try key.signature(for: Data(text.utf8))
        return text + "\n" + SignedNote.line(name: name, keyHash: hash, signature: Array(signature))
    }

    func isSigned(_ note: SignedNote) -> Bool { note.isSigned(by: name, key.publicKey) }

    /// With it a verification at the plane can name the very event that was changed; the tree only says that one was.
    func mark(_ event: [UInt8]) -> [UInt8] { Array(HMAC<SHA256>.authenticationCode(for: event, using: markKey)) }

    private static func message(_ text: String, _ time: Int64) -> Data {
        Data("cosignature/v1\ntime \(time)\n\(text)".utf8)
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
    }
}
