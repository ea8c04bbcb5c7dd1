import OpenSSL

/// Somebody who saw our checkpoint and says so: the plane, known by its C2SP verifier key.
package struct Witness: Sendable, Equatable {
    package let name: String
    private let keyHash: [UInt8]
    private let publicKey: [UInt8]

    /// A C2SP verifier key; nil if it is no Ed25519 witness, or contradicts itself.
    package init?(verifierKey: String) {
        guard let key = SignedNote.key(.cosignature, ofVerifierKey: verifierKey) else { return nil }
        (name, publicKey) = key
        keyHash = SignedNote.keyHash(name: key.name, .cosignature, key.publicKey)
    }

    /// True if `line` is this witness's signature line over the checkpoint (C2SP tlog-cosignature v1).
    package func cosigned(_ text: String, _ line: String) -> Bool {
        guard line.hasSuffix("\n"), let signature = try? SignedNote.signature(line.dropLast()), signature.name == name,
            signature.keyHash == keyHash, signature.bytes.count == 72
        else { return false }
        let time = signature.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return PrivateKey.verify(
            signature: Array(signature.bytes.dropFirst(8)), of: Array("cosignature/v1\ntime \(time)\n\(text)".utf8),
            ed25519PublicKey: publicKey)
    }
}
