import OpenSSL

/// The Ed25519 key of one log (one node and epoch), in a file of mode 0600 beside the spool.
struct LogKey: Sendable {
    private let key: PrivateKey
    /// The raw 32 bytes.
    let publicKey: [UInt8]

    static func create(_ path: String) throws -> LogKey {
        let key = try PrivateKey.generate(.ed25519)
        try key.writePEM(to: path)
        return try LogKey(key, path)
    }

    init(file path: String) throws {
        try self.init(try PrivateKey(pemFile: path), path)
    }

    private init(_ key: PrivateKey, _ path: String) throws(SpoolError) {
        guard let raw = key.rawPublicKey else {
            throw SpoolError(.damaged, "the log's key \(path) is no Ed25519 key")
        }
        self.key = key
        publicKey = raw
    }

    func sign(_ checkpoint: Checkpoint) throws(OpenSSLError) -> SignedNote {
        let hash = SignedNote.keyHash(name: checkpoint.origin, .ed25519, publicKey)
        let bytes = try key.sign(Array(checkpoint.text.utf8))
        return SignedNote(
            text: checkpoint.text, signatures: [.init(name: checkpoint.origin, keyHash: hash, bytes: bytes)])
    }
}
