import Crypto
import FoundationEssentials
import X509

/// Where the plane's signing keys are made and found: in its token if it has one, else in files of its state folder. A
/// plane that got its token later has both; each key is where it was made.
struct KeyHome: Sendable {
    let directory: String
    let token: KeyToken?

    /// In files it becomes durable by `SigningKey.keep`. In the token it is there at once; one that nothing names, as
    /// the transaction that made it failed, is only a leftover. `label`: for people who look into the token.
    func make(_ label: String) throws -> SigningKey {
        guard let token else { return SigningKey(P256.Signing.PrivateKey()) }
        let made = try token.makeSigningKey(label: "nodeguard-plane \(label)")
        let publicKey = try P256.Signing.PublicKey(x963Representation: made.point)
        return SigningKey(TokenSigningKey(token, id: made.id, publicKey: publicKey))
    }

    /// `publicKey`: of its certificate. A file is read, the token not asked.
    func find(_ place: KeyPlace, of publicKey: Certificate.PublicKey) throws -> SigningKey {
        switch place {
        case .file(let name):
            let path = file(name)
            guard StateFile.exists(path) else {
                throw PlaneProblem("\(path) is missing", remedy: "restore it from your copy; it cannot be made again")
            }
            let text = String(decoding: try StateFile.read(path), as: UTF8.self)
            guard let key = try? P256.Signing.PrivateKey(pemRepresentation: text),
                Certificate.PublicKey(key.publicKey) == publicKey
            else {
                throw PlaneProblem("\(path) is not the key of its certificate", remedy: "restore it from your copy")
            }
            return SigningKey(key)
        case .token(let id):
            guard let key = P256.Signing.PublicKey(publicKey) else {
                throw PlaneProblem("a certificate is not of P-256", remedy: "restore the database from your copy")
            }
            return SigningKey(TokenSigningKey(try tokenThatIsNeeded(), id: id, publicKey: key))
        }
    }

    func requireToken(holding ids: [[UInt8]]) throws {
        guard let token else { return }
        try token.open()
        var missing: [[UInt8]] = []
        for start in stride(from: 0, to: ids.count, by: Self.askedAtOnce) {
            missing += try token.missing(of: Array(ids[start..<min(ids.count, start + Self.askedAtOnce)]))
        }
        guard missing.isEmpty else {
            throw PlaneProblem(
                "\(missing.count) of this plane's \(ids.count) keys are not in \(token.address.name), "
                    + "\(missing.prefix(3).map(Hex.lower).joined(separator: ", ")) among them",
                remedy: "name the token that has them, or restore it from its own backup")
        }
    }

    private static let askedAtOnce = 500

    func file(_ name: String) -> String { "\(directory)/authorities/\(name)" }

    func tokenThatIsNeeded() throws -> KeyToken {
        guard let token else {
            throw PlaneProblem(
                "this plane's keys are in a PKCS #11 token; \(TokenAddress.file(in: directory)) does not say in which",
                remedy: "start the plane with --hsm once, or copy that file from another plane of this database")
        }
        return token
    }
}

/// Where one key is, as the database has it: a file in the folder `authorities`, or `hsm:` and its CKA_ID in hex.
enum KeyPlace: Sendable, Equatable {
    case file(String)
    case token([UInt8])

    private static let prefix = "hsm:"

    init(_ text: String) throws(PlaneProblem) {
        guard text.hasPrefix(Self.prefix) else {
            self = .file(text)
            return
        }
        guard let id = Hex.decode(text.dropFirst(Self.prefix.count)), !id.isEmpty else {
            throw PlaneProblem("the database names no key with '\(text)'", remedy: "restore it from your copy")
        }
        self = .token(id)
    }

    var text: String {
        switch self {
        case .file(let name): name
        case .token(let id): Self.prefix + Hex.lower(id)
        }
    }

    var tokenID: [UInt8]? { if case .token(let id) = self { id } else { nil } }
}
