import IO
import OpenSSL

/// The key by which this node gets another identity when its own has expired, as carefully kept as an identity's:
/// `recovery/key.pem`, and beside it what the plane was told.
struct RecoveryStore {
    private static let limit = 4096

    private let folder: String

    init(stateDirectory: String) { folder = stateDirectory + "/recovery" }

    private var keyPath: String { folder + "/key.pem" }
    /// SHA-256 of the public key that the plane has taken.
    private var registeredPath: String { folder + "/registered" }
    private var usesPath: String { folder + "/uses" }

    /// Whether the plane knows the key that is here.
    var isRegistered: Bool {
        guard let key = try? PrivateKey(pemFile: keyPath),
            let known = try? Files.read(registeredPath, limit: Self.limit)
        else { return false }
        return known == Self.digest(of: key)
    }

    /// How often this node has recovered.
    var uses: Int64 {
        (try? Files.read(usesPath, limit: Self.limit)).flatMap { Int64(String(decoding: $0, as: UTF8.self)) } ?? 0
    }

    func key() throws(StoreError) -> PrivateKey {
        do { return try PrivateKey(pemFile: keyPath) } catch { throw StoreError("\(error)") }
    }

    /// The one that is here, or a new one, durably.
    func keyOrNew() throws(StoreError) -> PrivateKey {
        if Files.exists(keyPath) { return try key() }
        do {
            try Files.makeDirectory(folder, mode: 0o700)
            let key = try PrivateKey.generate(.ecP256)
            try key.writePEM(to: keyPath)
            return key
        } catch { throw StoreError("\(error)") }
    }

    /// A join by a bundle is a new beginning: who took the place of a node, or was revoked, is not known by the key of
    /// before, which others may have. It stays beside, as all that is put aside does.
    func setAside() throws(StoreError) {
        guard Files.exists(keyPath) else { return }
        do { try Files.rename(keyPath, to: keyPath + ".previous") } catch { throw StoreError(error) }
    }

    /// The plane has taken the key; it counts from nothing.
    func noteRegistered(_ key: PrivateKey, isNew: Bool) throws(StoreError) {
        try write(Self.digest(of: key), to: registeredPath)
        if isNew { try write(Array("0".utf8), to: usesPath) }
    }

    func noteUse() throws(StoreError) { try write(Array("\(uses + 1)".utf8), to: usesPath) }

    private func write(_ bytes: [UInt8], to path: String) throws(StoreError) {
        do throws(IOError) { try Files.write(bytes, to: path, mode: 0o600) } catch { throw StoreError(error) }
    }

    private static func digest(of key: PrivateKey) -> [UInt8] {
        Array(Hexadecimal.text(Digest.sha256(key.publicKeyDER)).utf8)
    }
}
