import Crypto
import FoundationEssentials
import Glibc

/// A root whose key is not in the state folder. The plane goes on by its intermediates, and by what the root has signed
/// before it went: an intermediate for the plane's own certificate, and a list of its revocations for a long time.
enum OfflineRoot {
    /// How long the root's own list is good for; it revokes intermediates alone.
    static let listLifetime: Int64 = 400 * 86_400

    /// Since when; nil: its key is there.
    static func since(_ root: AuthorityRecord, _ database: Database) throws -> Int64? {
        guard root.isRoot else { return nil }
        return try PlaneState.setting(setting(root), database).flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
    }

    /// Of the plane's issuer, which only the root can follow by another.
    static func isNearEnd(_ issuer: AuthorityRecord, now: Int64) -> Bool {
        issuer.certificate.notAfterSeconds - now < PlaneStatus.nearEnd
    }

    /// The file of a root's key in this state folder; nil: it is not here.
    static func keyFile(of root: AuthorityRecord, _ state: PlaneState) -> String? {
        guard case .file(let name) = root.keyPlace else { return nil }
        let path = state.keys.file(name)
        return StateFile.exists(path) ? path : nil
    }

    static func note(_ root: AuthorityRecord, now: Int64, _ database: Database) throws {
        try PlaneState.set(setting(root), to: Data(String(now).utf8), database)
    }

    static func forget(_ root: AuthorityRecord, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM settings WHERE name = ?", arguments: [setting(root)])
    }

    private static func setting(_ root: AuthorityRecord) -> String { "root-offline \(root.id)" }
}

/// The steps by which a root's key goes and comes back.
struct RootCustody {
    let state: PlaneState
    let actor: PlaneEvent.Actor
    let now: Int64

    func root(_ database: Database) throws -> AuthorityRecord {
        guard let root = try AuthoritiesInForce(database).planeRoot else {
            throw PlaneProblem("there is no root", remedy: "restore the state folder from your copy")
        }
        return root
    }

    /// Seals the key into a file, which is durable when this returns. `orLeft`: also that of a root which is offline,
    /// but whose key was left in the state folder, since its removal was cut off.
    func export(
        to path: String, _ recipients: [OperatorPublicKey], orLeft: Bool = false, _ database: Database
    ) throws -> AuthorityRecord {
        let root = try root(database)
        let isLeft = orLeft && OfflineRoot.keyFile(of: root, state) != nil
        guard let key = try (isLeft ? root.load(from: state.keys) : root.load(from: state, database)).keyText else {
            throw PlaneProblem(
                "the root's key is in a PKCS #11 token, which never gives it away",
                remedy: "unplug the token to take the root offline; the token's own tools make a copy")
        }
        let writer = try SealedFileWriter(path, recipients: recipients)
        try writer.write(Array(key.utf8))
        try writer.finish()
        try record("root.export", root, "sealed to \(recipients.map(\.id).joined(separator: ", "))", database)
        return root
    }

    /// What the plane needs of the root before it goes. The file of the key is removed after the transaction, by
    /// `removeKey`.
    func takeOffline(_ root: AuthorityRecord, _ database: Database) throws {
        let inForce = try AuthoritiesInForce(database)
        if let phase = inForce.rotation?.machine.phase, phase != .dropped {
            throw PlaneProblem(
                "the root is being changed", remedy: "finish that first, with `rotate-ca finish` or `rollback`")
        }
        if inForce.planeIssuer.map({ OfflineRoot.isNearEnd($0, now: now) }) ?? true {
            let issuer = try root.load(from: state, database)
                .makeIntermediate(state.keys.make("plane"), cluster: AuthorityRecord.planeCluster, now: now)
            _ = try AuthorityRecord.add(
                issuer, cluster: AuthorityRecord.planeCluster, root: root.id, keys: state.keys, now: now, database)
        }
        try PublishedLists.signForLong(root, state, now: now, database)
        try OfflineRoot.note(root, now: now, database)
        try record("root.offline", root, "its key is not in the state folder from now on", database)
    }

    /// Of a root that is offline, after its key was sealed into a file. What is cut off before that is taken up by the
    /// same verb again, which seals the key once more.
    func removeKey(of root: AuthorityRecord) throws {
        guard let path = OfflineRoot.keyFile(of: root, state) else { return }
        guard unlink(path) == 0 else { throw StateFile.problem("remove", path) }
        try StateFile.synchronizeFolder(of: path)
    }

    func bringOnline(_ key: String, _ database: Database) throws -> AuthorityRecord {
        let root = try root(database)
        guard case .file(let name) = root.keyPlace else {
            throw PlaneProblem(
                "the root's key is in a PKCS #11 token", remedy: "plug the token in; there is nothing to put back")
        }
        _ = try SigningKey(pem: key, of: root.certificate, from: "this file").keep(in: state.keys.file(name))
        try OfflineRoot.forget(root, database)
        try record("root.online", root, "its key is in the state folder again", database)
        return root
    }

    private func record(_ name: String, _ root: AuthorityRecord, _ detail: String, _ database: Database) throws {
        try state.log.record(
            PlaneEvent(name: name, actor: actor, detail: "\(root.certificate.pin): \(detail)"), now: now, database)
    }
}

/// A root's key in a file of its own: sealed to an operator, or as PEM.
enum RootKeyFile {
    private static let limit = 8 << 10

    static func read(_ path: String, with key: String?) throws -> String {
        if try InputFile(path).read(10) == Array("-----BEGIN".utf8) {
            return String(decoding: try StateFile.read(path), as: UTF8.self)
        }
        guard let key else {
            throw PlaneProblem("\(path) is sealed", remedy: "name the operator's private key with --operator-key")
        }
        let bytes = try SealedFileReader(path, key: try OperatorPrivateKey(file: key)).read(limit)
        return String(decoding: bytes, as: UTF8.self)
    }
}
