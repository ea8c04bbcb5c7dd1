import Crypto
import FoundationEssentials

/// The public half of the key pair of those who may open a backup of the plane: X25519 or P-256, as
/// `openssl pkey -pubout` writes it.
enum OperatorPublicKey: Sendable {
    case x25519(Curve25519.KeyAgreement.PublicKey)
    case p256(P256.KeyAgreement.PublicKey)

    init(pem text: String, of file: String) throws {
        let der = try PEMText.contents(of: text, kinds: ["PUBLIC KEY"], file)
        if let raw = X25519Encoding.publicKey(der),
            let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: raw)
        {
            self = .x25519(key)
        } else if let key = try? P256.KeyAgreement.PublicKey(derRepresentation: der) {
            self = .p256(key)
        } else {
            throw PlaneProblem(
                "\(file) is no public key of X25519 or P-256",
                remedy: "make a pair with `nodeguard-plane backup key`, or name the file of its public half")
        }
    }

    init(file: String) throws { try self.init(pem: PEMText.read(file), of: file) }

    /// SHA-256 of the SubjectPublicKeyInfo, as a pin has it.
    var id: String {
        let info =
            switch self {
            case .x25519(let key): X25519Encoding.encode(key)
            case .p256(let key): Array(key.derRepresentation)
            }
        return "sha256:" + Hex.lower(SHA256.hash(data: info))
    }

    /// HPKE in its base mode (RFC 9180 §5.1.1).
    func seal(_ secret: SymmetricKey, for purpose: String) throws -> SealedKey {
        let secret = secret.withUnsafeBytes { Data($0) }
        let info = Data(purpose.utf8)
        var sender =
            switch self {
            case .x25519(let key):
                try HPKE.Sender(recipientKey: key, ciphersuite: .Curve25519_SHA256_ChachaPoly, info: info)
            case .p256(let key): try HPKE.Sender(recipientKey: key, ciphersuite: .P256_SHA256_AES_GCM_256, info: info)
            }
        return SealedKey(
            recipient: id, encapsulated: sender.encapsulatedKey,
            sealed: try sender.seal(secret, authenticating: Data(id.utf8)))
    }
}

/// A key, sealed to one recipient.
struct SealedKey: Codable, Sendable {
    /// `OperatorPublicKey.id`.
    let recipient: String
    let encapsulated: Data
    let sealed: Data
}

/// The private half, from a file of PKCS#8 (RFC 5958) without a passphrase.
enum OperatorPrivateKey {
    case x25519(Curve25519.KeyAgreement.PrivateKey)
    case p256(P256.KeyAgreement.PrivateKey)

    init(file: String) throws {
        let text = try PEMText.read(file)
        if text.contains("ENCRYPTED") {
            throw PlaneProblem(
                "\(file) is protected by a passphrase", remedy: "open it: openssl pkey -in \(file) -out OTHER")
        }
        let der = try PEMText.contents(of: text, kinds: ["PRIVATE KEY", "EC PRIVATE KEY"], file)
        if let raw = X25519Encoding.privateKey(der),
            let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: raw)
        {
            self = .x25519(key)
        } else if let key = try? P256.KeyAgreement.PrivateKey(pemRepresentation: text) {
            self = .p256(key)
        } else {
            throw PlaneProblem(
                "\(file) is no private key of X25519 or P-256", remedy: "name the operator's key, as PKCS#8 in PEM")
        }
    }

    static func create() -> OperatorPrivateKey { .x25519(Curve25519.KeyAgreement.PrivateKey()) }

    var publicKey: OperatorPublicKey {
        switch self {
        case .x25519(let key): .x25519(key.publicKey)
        case .p256(let key): .p256(key.publicKey)
        }
    }

    /// nil: it was sealed to somebody else, or changed.
    func open(_ sealed: SealedKey, for purpose: String) -> SymmetricKey? {
        let info = Data(purpose.utf8)
        guard sealed.recipient == publicKey.id else { return nil }
        do {
            var recipient =
                switch self {
                case .x25519(let key):
                    try HPKE.Recipient(
                        privateKey: key, ciphersuite: .Curve25519_SHA256_ChachaPoly, info: info,
                        encapsulatedKey: sealed.encapsulated)
                case .p256(let key):
                    try HPKE.Recipient(
                        privateKey: key, ciphersuite: .P256_SHA256_AES_GCM_256, info: info,
                        encapsulatedKey: sealed.encapsulated)
                }
            let secret = try recipient.open(sealed.sealed, authenticating: Data(sealed.recipient.utf8))
            return secret.count == 32 ? SymmetricKey(data: secret) : nil
        } catch { return nil }
    }

    /// PKCS#8 and SubjectPublicKeyInfo, in PEM.
    var pem: (privateKey: String, publicKey: String) {
        switch self {
        case .x25519(let key):
            (
                PEMText.text("PRIVATE KEY", X25519Encoding.encode(key)),
                PEMText.text("PUBLIC KEY", X25519Encoding.encode(key.publicKey))
            )
        case .p256(let key): (key.pemRepresentation + "\n", key.publicKey.pemRepresentation + "\n")
        }
    }
}

/// What swift-crypto has no coder for: the fixed bytes before a raw key (RFC 8410 §4, §7).
private enum X25519Encoding {
    private static let publicPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x6E, 0x03, 0x21, 0x00]
    private static let privatePrefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x6E, 0x04, 0x22, 0x04, 0x20,
    ]

    static func encode(_ key: Curve25519.KeyAgreement.PublicKey) -> [UInt8] {
        publicPrefix + Array(key.rawRepresentation)
    }

    static func encode(_ key: Curve25519.KeyAgreement.PrivateKey) -> [UInt8] {
        privatePrefix + Array(key.rawRepresentation)
    }

    static func publicKey(_ der: [UInt8]) -> [UInt8]? { raw(der, publicPrefix) }
    static func privateKey(_ der: [UInt8]) -> [UInt8]? { raw(der, privatePrefix) }

    private static func raw(_ der: [UInt8], _ prefix: [UInt8]) -> [UInt8]? {
        der.count == prefix.count + 32 && der.starts(with: prefix) ? Array(der.dropFirst(prefix.count)) : nil
    }
}

private enum PEMText {
    static func read(_ file: String) throws -> String {
        guard StateFile.exists(file) else {
            throw PlaneProblem("\(file) is missing", remedy: "name the file of a key in PEM")
        }
        return String(decoding: try StateFile.read(file), as: UTF8.self)
    }

    /// Of the first block of one of these kinds (RFC 7468).
    static func contents(of text: String, kinds: [String], _ file: String) throws -> [UInt8] {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimming { $0 == " " } }
        for kind in kinds {
            guard let begin = lines.firstIndex(of: "-----BEGIN \(kind)-----") else { continue }
            let body = lines[(begin + 1)...].prefix { !$0.hasPrefix("-----") }.joined()
            if let bytes = Data(base64Encoded: body) { return Array(bytes) }
        }
        throw PlaneProblem("\(file) holds no \(kinds[0]) in PEM", remedy: "name the file of a key in PEM")
    }

    static func text(_ kind: String, _ der: [UInt8]) -> String {
        "-----BEGIN \(kind)-----\n\(Data(der).base64EncodedString())\n-----END \(kind)-----\n"
    }
}

extension StringProtocol {
    fileprivate func trimming(_ isBlank: (Character) -> Bool) -> String {
        String(drop(while: isBlank).reversed().drop(while: isBlank).reversed())
    }
}
