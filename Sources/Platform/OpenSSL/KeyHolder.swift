/// What only a private key can do, in OpenSSL's own steps.
package enum KeyOperation: Sendable, Equatable {
    /// ECDSA over a digest; the answer is DER (RFC 3279 §2.2.3).
    case ecdsa(digest: [UInt8])
    /// RSA with PKCS #1 v1.5 around a DigestInfo (RFC 8017 §9.2).
    case rsaPKCS1(digestInfo: [UInt8])
    /// RSA over a block as long as the modulus, padded already (PSS).
    case rsaRaw(block: [UInt8])
}

/// Has a private key that this process never sees, and uses it on demand: a token, a TPM.
package protocol KeyHolder: AnyObject, Sendable {
    /// Where the key lives, for people: `pkcs11:token=…`, `tpm`.
    var place: String { get }
    /// What lies on the disk in place of the key; no secret.
    var reference: [UInt8] { get }
    /// Whether it may be asked: false while what has the key does not answer. Never blocks.
    var isAvailable: Bool { get }
    /// Blocks, for a time that the holder limits. nil: it was not done.
    func perform(_ operation: KeyOperation) -> [UInt8]?
}
