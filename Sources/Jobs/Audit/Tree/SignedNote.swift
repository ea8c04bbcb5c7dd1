import FoundationEssentials
import OpenSSL

/// A text with signatures (C2SP signed-note): the text, an empty line, then lines `— NAME BASE64`, whose bytes begin
/// with four that name the key.
package struct SignedNote: Sendable, Equatable {
    static let sizeLimit = 8 << 10
    static let signatureLimit = 16
    private static let dash = "\u{2014} "

    package struct Signature: Sendable, Equatable {
        let name: String
        let keyHash: [UInt8]
        let bytes: [UInt8]

        var line: String { "\(dash)\(name) \(Data(keyHash + bytes).base64EncodedString())\n" }
    }

    /// C2SP signed-note, signature types.
    enum Algorithm: UInt8 {
        case ed25519 = 0x01
        /// C2SP tlog-cosignature: Ed25519 over a header with the time, and the text.
        case cosignature = 0x04
    }

    package struct Flaw: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Ends with a newline.
    package let text: String
    package let signatures: [Signature]

    init(text: String, signatures: [Signature]) {
        self.text = text
        self.signatures = signatures
    }

    package init(parsing bytes: some Collection<UInt8>) throws(Flaw) {
        guard bytes.count <= Self.sizeLimit else { throw Flaw(description: "the note is too long") }
        guard let note = String(validating: bytes, as: UTF8.self), note.hasSuffix("\n") else {
            throw Flaw(description: "the note is not text that ends with a newline")
        }
        let lines = note.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        guard let empty = lines.lastIndex(of: ""), empty > 0, empty + 1 < lines.count else {
            throw Flaw(description: "the note has no signature")
        }
        guard lines.count - empty - 1 <= Self.signatureLimit else {
            throw Flaw(description: "the note has too many signatures")
        }
        text = lines[..<empty].joined(separator: "\n") + "\n"
        var signatures: [Signature] = []
        for line in lines[(empty + 1)...] { signatures.append(try Self.signature(line)) }
        self.signatures = signatures
    }

    package var fullText: String { text + "\n" + signatures.map(\.line).joined() }

    static func signature(_ line: Substring) throws(Flaw) -> Signature {
        let parts = line.dropFirst(dash.count).split(separator: " ", omittingEmptySubsequences: false)
        guard line.hasPrefix(dash), parts.count == 2, !parts[0].isEmpty,
            let raw = decode(parts[1]), raw.count > 4
        else { throw Flaw(description: "a signature line of the note is malformed") }
        return Signature(name: String(parts[0]), keyHash: Array(raw.prefix(4)), bytes: Array(raw.dropFirst(4)))
    }

    /// Strict: Foundation overlooks set bits in the padding, and a note would have several forms.
    static func decode(_ base64: Substring) -> Data? {
        Data(base64Encoded: String(base64)).flatMap { $0.base64EncodedString() == base64 ? $0 : nil }
    }

    /// True if the Ed25519 key signed the text under `name`.
    package func isSigned(by name: String, publicKey: [UInt8]) -> Bool {
        let hash = Self.keyHash(name: name, .ed25519, publicKey)
        return signatures.contains { signature in
            signature.name == name && signature.keyHash == hash
                && PrivateKey.verify(
                    signature: signature.bytes, of: Array(text.utf8), ed25519PublicKey: publicKey)
        }
    }

    /// SHA-256(name ‖ LF ‖ algorithm ‖ key), four bytes of it.
    static func keyHash(name: String, _ algorithm: Algorithm, _ publicKey: [UInt8]) -> [UInt8] {
        Array(Digest.sha256(Array(name.utf8) + [0x0A, algorithm.rawValue] + publicKey).prefix(4))
    }

    /// `NAME+HASH+BASE64` (C2SP signed-note, verifier keys): what others need to know of a key.
    static func verifierKey(name: String, _ algorithm: Algorithm, _ publicKey: [UInt8]) -> String {
        let encoded = Data([algorithm.rawValue] + publicKey).base64EncodedString()
        return "\(name)+\(hexadecimal(keyHash(name: name, algorithm, publicKey)))+\(encoded)"
    }

    /// nil if it is no key of this kind, or contradicts itself.
    static func key(_ algorithm: Algorithm, ofVerifierKey text: String) -> (name: String, publicKey: [UInt8])? {
        // The base64 part may contain plus signs; name and hash do not.
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let raw = decode(parts[2]), raw.count == 33,
            raw.first == algorithm.rawValue
        else { return nil }
        let (name, publicKey) = (String(parts[0]), Array(raw.dropFirst()))
        guard hexadecimal(keyHash(name: name, algorithm, publicKey)) == parts[1] else { return nil }
        return (name, publicKey)
    }
}
