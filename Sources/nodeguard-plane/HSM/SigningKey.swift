import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A key of P-256 with which the plane signs: in memory and a file (0600), or in the token, where it was made and
/// stays.
struct SigningKey: Sendable {
    private enum Place: Sendable {
        case memory(P256.Signing.PrivateKey)
        case token(TokenSigningKey)
    }

    private let place: Place

    init(_ key: P256.Signing.PrivateKey) { place = .memory(key) }

    init(_ key: TokenSigningKey) { place = .token(key) }

    /// `pem`: the key of this certificate. `source`: where it was found.
    init(pem: String, of certificate: Certificate, from source: String) throws {
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem),
            Certificate.PublicKey(key.publicKey) == certificate.publicKey
        else {
            throw PlaneProblem("\(source) is not the key of its certificate", remedy: "restore it from your copy")
        }
        self.init(key)
    }

    /// In PEM; nil: it is in the token, and stays there.
    var text: String? {
        switch place {
        case .memory(let key): key.pemRepresentation + "\n"
        case .token: nil
        }
    }

    var publicKey: Certificate.PublicKey {
        switch place {
        case .memory(let key): Certificate.PublicKey(key.publicKey)
        case .token(let key): key.publicKey
        }
    }

    /// As swift-certificates signs with it.
    var certificateKey: Certificate.PrivateKey {
        switch place {
        case .memory(let key): Certificate.PrivateKey(key)
        case .token(let key): Certificate.PrivateKey(key)
        }
    }

    /// ECDSA with SHA-256, in DER.
    func sign(_ bytes: [UInt8]) throws -> [UInt8] {
        switch place {
        case .memory(let key): Array(try key.signature(for: bytes).derRepresentation)
        case .token(let key): Array(try key.signature(for: bytes).derRepresentation)
        }
    }

    /// `file`: where one in memory is written. What the database is to keep, so that `KeyHome.find` finds the key.
    func keep(in file: String) throws -> KeyPlace {
        switch place {
        case .memory(let key):
            try StateFile.write(Array((key.pemRepresentation + "\n").utf8), to: file)
            return .file(String(file.split(separator: "/").last ?? ""))
        case .token(let key): return .token(key.id)
        }
    }
}

/// A key in the token. Each signature is verified before it is used: a token that answers with that of another key, or
/// with nonsense, is found out here and not by a fleet.
struct TokenSigningKey: CustomPrivateKey {
    let token: KeyToken
    /// CKA_ID.
    let id: [UInt8]
    private let verifying: P256.Signing.PublicKey

    init(_ token: KeyToken, id: [UInt8], publicKey: P256.Signing.PublicKey) {
        self.token = token
        self.id = id
        verifying = publicKey
    }

    func signature(for bytes: some DataProtocol) throws -> P256.Signing.ECDSASignature {
        let digest = SHA256.hash(data: bytes)
        let raw = try token.sign(id, digest: Array(digest))
        guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: raw),
            verifying.isValidSignature(signature, for: digest)
        else {
            throw TokenProblem(fault: nil, text: "what the token signs is not signed with the key \(Hex.lower(id))")
        }
        return signature
    }

    // MARK: CustomPrivateKey

    var publicKey: Certificate.PublicKey { Certificate.PublicKey(verifying) }
    var defaultSignatureAlgorithm: Certificate.SignatureAlgorithm { .ecdsaWithSHA256 }
    var supportedSignatureAlgorithms: [Certificate.SignatureAlgorithm] { [.ecdsaWithSHA256] }

    func signSynchronously(
        bytes: some DataProtocol, signatureAlgorithm: Certificate.SignatureAlgorithm
    ) throws -> Certificate.Signature {
        guard signatureAlgorithm == .ecdsaWithSHA256 else {
            throw TokenProblem(fault: nil, text: "keys in the token sign with ECDSA and SHA-256 alone")
        }
        let der = try signature(for: bytes).derRepresentation
        return try Certificate.Signature(
            signatureAlgorithm: signatureAlgorithm, signatureBytes: ASN1BitString(bytes: Array(der)[...]))
    }

    static func == (left: TokenSigningKey, right: TokenSigningKey) -> Bool {
        left.token === right.token && left.id == right.id
    }

    func hash(into hasher: inout Hasher) { hasher.combine(id) }

    static let defaultPEMDiscriminator = "PRIVATE KEY"

    func serialize(into coder: inout DER.Serializer) throws { throw Self.stays }

    func serializeAsPEM(discriminator: String) throws -> PEMDocument { throw Self.stays }

    private static let stays = TokenProblem(fault: nil, text: "a key in the token does not leave it")
}
