import Crypto
import FoundationEssentials

/// A C2SP signed note: a text that ends with a newline, an empty line, and signature lines `— NAME BASE64`, whose bytes
/// begin with four that name the key.
struct SignedNote: Sendable {
    static let sizeLimit = 4 << 10
    static let signatureLimit = 8
    private static let dash = "\u{2014} "

    let text: String
    let signatures: [Signature]

    struct Signature: Sendable {
        let name: String
        let keyHash: [UInt8]
        let bytes: [UInt8]
    }

    struct Flaw: Error, CustomStringConvertible {
        let description: String
    }

    init(_ bytes: some Collection<UInt8>) throws(Flaw) {
        guard bytes.count <= Self.sizeLimit else { throw Flaw(description: "the checkpoint is too long") }
        guard let note = String(validating: bytes, as: UTF8.self), note.hasSuffix("\n") else {
            throw Flaw(description: "the checkpoint is not text that ends with a newline")
        }
        let lines = note.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        guard let empty = lines.lastIndex(of: ""), empty > 0, empty + 1 < lines.count else {
            throw Flaw(description: "the checkpoint has no signature")
        }
        guard lines.count - empty - 1 <= Self.signatureLimit else {
            throw Flaw(description: "the checkpoint has too many signatures")
        }
        text = lines[..<empty].joined(separator: "\n") + "\n"
        var signatures: [Signature] = []
        for line in lines[(empty + 1)...] {
            let parts = line.dropFirst(Self.dash.count).split(separator: " ", omittingEmptySubsequences: false)
            guard line.hasPrefix(Self.dash), parts.count == 2, let raw = Self.decode(parts[1]),
                raw.count > 4
            else { throw Flaw(description: "a signature line of the checkpoint is malformed") }
            signatures.append(
                Signature(name: String(parts[0]), keyHash: Array(raw.prefix(4)), bytes: Array(raw.dropFirst(4))))
        }
        self.signatures = signatures
    }

    /// Strict: Foundation overlooks set bits in the padding, and a note would have several forms.
    fileprivate static func decode(_ base64: Substring) -> Data? {
        Data(base64Encoded: String(base64)).flatMap { $0.base64EncodedString() == base64 ? $0 : nil }
    }

    /// True if `key` signed the text under `name` with plain Ed25519.
    func isSigned(by name: String, _ key: Curve25519.Signing.PublicKey) -> Bool {
        let hash = Self.keyHash(name: name, algorithm: .ed25519, key: key)
        return signatures.contains {
            $0.name == name && $0.keyHash == hash && key.isValidSignature($0.bytes, for: Data(text.utf8))
        }
    }

    enum Algorithm: UInt8 {
        case ed25519 = 0x01
        /// C2SP tlog-cosignature: Ed25519 over a header with the time, and the text.
        case cosignature = 0x04
    }

    /// C2SP signed-note: SHA-256(name ‖ LF ‖ algorithm ‖ key), four bytes of it.
    static func keyHash(name: String, algorithm: Algorithm, key: Curve25519.Signing.PublicKey) -> [UInt8] {
        let bytes = Array(name.utf8) + [0x0A, algorithm.rawValue] + Array(key.rawRepresentation)
        return Array(SHA256.hash(data: bytes).prefix(4))
    }

    /// C2SP signed-note "vkey": what a verifier needs to know of a key.
    static func verifierKey(name: String, algorithm: Algorithm, key: Curve25519.Signing.PublicKey) -> String {
        let encoded = Data([algorithm.rawValue] + key.rawRepresentation).base64EncodedString()
        return "\(name)+\(Hex.lower(keyHash(name: name, algorithm: algorithm, key: key)))+\(encoded)"
    }

    static func line(name: String, keyHash: [UInt8], signature: [UInt8]) -> String {
        "\(dash)\(name) \(Data(keyHash + signature).base64EncodedString())\n"
    }
}

/// A C2SP tlog-checkpoint: which log, how many leaves, and their tree's root.
struct Checkpoint: Sendable, Equatable {
    let origin: String
    let size: UInt64
    let root: [UInt8]

    init(origin: String, size: UInt64, root: [UInt8]) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    var text: String { "\(origin)\n\(size)\n\(Data(root).base64EncodedString())\n" }

    init(_ text: String) throws(SignedNote.Flaw) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 4, lines[3].isEmpty, let size = UInt64(lines[1]), String(size) == lines[1],
            let root = SignedNote.decode(lines[2]), root.count == MerkleRange.hashSize
        else { throw SignedNote.Flaw(description: "the checkpoint is not origin, size and root") }
        origin = String(lines[0])
        self.size = size
        self.root = Array(root)
    }
}
