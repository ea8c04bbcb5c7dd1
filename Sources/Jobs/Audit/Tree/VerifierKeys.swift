import FoundationEssentials

/// The public keys that somebody holds against an exported log: of logs and of witnesses.
package struct VerifierKeys: Sendable, Equatable {
    package static let sizeLimit = 64 << 10
    private static let countLimit = 256
    /// RFC 8410 §4: an Ed25519 SubjectPublicKeyInfo is this and the 32 bytes of the key.
    private static let publicKeyPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0]

    private struct LogEntry: Sendable, Equatable {
        /// nil: the key came without the name of its log.
        let name: String?
        let publicKey: [UInt8]
    }

    private var logs: [LogEntry] = []
    private var witnesses: [Witness] = []

    package init() {}

    /// `logKey`: the raw 32 bytes of a log's key.
    package init(logKey: [UInt8]) { logs = [LogEntry(name: nil, publicKey: logKey)] }

    /// Takes C2SP verifier keys, one a line, or one public key as PEM. Empty lines and those with `#` are remarks.
    package mutating func add(_ text: String) throws(SignedNote.Flaw) {
        guard text.utf8.count <= Self.sizeLimit else { throw SignedNote.Flaw(description: "too long for keys") }
        if text.contains("PRIVATE KEY-----") {
            throw SignedNote.Flaw(description: "a private key, which belongs to its node alone: give the public key")
        }
        if text.contains("-----BEGIN ") { return logs.append(LogEntry(name: nil, publicKey: try Self.publicKey(text))) }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }
        let keys = lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !keys.isEmpty else { throw SignedNote.Flaw(description: "there is no key in it") }
        for key in keys {
            guard logs.count + witnesses.count < Self.countLimit else {
                throw SignedNote.Flaw(description: "more than \(Self.countLimit) keys")
            }
            if let witness = Witness(verifierKey: String(key)) {
                witnesses.append(witness)
            } else if let (name, raw) = SignedNote.key(.ed25519, ofVerifierKey: String(key)) {
                logs.append(LogEntry(name: name, publicKey: raw))
            } else {
                throw SignedNote.Flaw(description: "neither the key of a log nor of a witness: \(key.prefix(80))")
            }
        }
    }

    private static func publicKey(_ pem: String) throws(SignedNote.Flaw) -> [UInt8] {
        let lines = pem.split(whereSeparator: \.isNewline)
        let body = lines.drop { $0 != "-----BEGIN PUBLIC KEY-----" }.dropFirst().prefix { !$0.hasPrefix("-----") }
        guard let bytes = Data(base64Encoded: body.joined()), bytes.starts(with: publicKeyPrefix),
            bytes.count == publicKeyPrefix.count + 32
        else { throw SignedNote.Flaw(description: "this PEM is no Ed25519 public key") }
        return Array(bytes.suffix(32))
    }

    /// nil without any log's key to hold against it.
    func isSigned(_ note: SignedNote, as origin: String) -> Bool? {
        if logs.isEmpty { return nil }
        return logs.contains {
            ($0.name == nil || $0.name == origin) && note.isSigned(by: origin, publicKey: $0.publicKey)
        }
    }

    /// nil without any witness's key to hold against it.
    func isCosigned(_ note: SignedNote) -> Bool? {
        if witnesses.isEmpty { return nil }
        return witnesses.contains { witness in
            note.signatures.contains { witness.cosigned(note.text, $0.line) }
        }
    }

    /// A log's key by its name is among them.
    func knows(_ origin: String) -> Bool { logs.contains { $0.name == nil || $0.name == origin } }
}
