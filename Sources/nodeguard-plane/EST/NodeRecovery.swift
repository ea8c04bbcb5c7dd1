import Crypto
import FoundationEssentials
import PlaneAPI

/// Lets a node whose identity has expired prove itself by the key that it registered before; never one that was
/// revoked, removed or replaced, and not often.
struct NodeRecovery: Sendable {
    let state: PlaneState

    static let window: Int64 = 30 * 86_400
    static let usualLimit: Int64 = 3

    /// Who proves itself, and with what.
    struct Proof: Sendable {
        let node: String
        let challenge: String
        let signature: [UInt8]
    }

    // MARK: the key

    func register(_ key: Data, of identity: NodeIdentity, now: Int64) throws {
        guard (try? P256.Signing.PublicKey(derRepresentation: key)) != nil else {
            throw Refusal.unprocessable("key-malformed", "a recovery key is a SubjectPublicKeyInfo of P-256 in DER")
        }
        try state.database.write { database in
            try identity.requireStanding(now: now, database)
            let known = try Self.row(identity.node, identity.cluster, database)
            if let known, known["public_key"] as Data == key { return }
            try database.execute(
                sql: """
                    INSERT INTO recovery_keys (cluster, node, public_key, registered_at, uses) VALUES (?, ?, ?, ?, 0)
                    ON CONFLICT (cluster, node) DO UPDATE SET public_key = excluded.public_key,
                        registered_at = excluded.registered_at, uses = 0
                    """,
                arguments: [identity.cluster, identity.node, key, now])
            try state.log.record(
                PlaneEvent(
                    name: "recovery.key", actor: identity.actor, cluster: identity.cluster, node: identity.node,
                    detail: (known == nil ? "the first" : "in the place of another")
                        + ", SHA-256 \(Hex.lower(SHA256.hash(data: key)))"),
                now: now, database)
        }
    }

    // MARK: the challenge

    /// Nothing is kept of it: the plane knows its own by its mark, and used ones by their use. What the node says of
    /// itself is in it, and counts once it is signed.
    func challenge(for question: RecoveryQuestion, now: Int64) throws -> RecoveryChallenge {
        _ = try state.database.read { try requireUnlocked(question.node, question.cluster, $0) }
        let bytes = BigEndian.bytes(now) + RandomBytes.make(16) + BigEndian.bytes(question.uses)
        return RecoveryChallenge(
            challenge: Base64URL.encode(Data(bytes + mark(bytes, question.node, question.cluster))))
    }

    private func mark(_ bytes: [UInt8], _ node: String, _ cluster: String) -> [UInt8] {
        state.witness.mark(Array("recovery challenge \(cluster)/\(node) ".utf8) + bytes)
    }

    // MARK: its answer

    /// A proof that is right, and what it said.
    struct Proven: Sendable {
        fileprivate let proof: Proof
        fileprivate let cluster: String
        fileprivate let nonce: [UInt8]
        fileprivate let uses: Int64
    }

    func verify(
        _ proof: Proof, cluster: String, requestDigest: [UInt8], now: Int64, _ database: Database
    ) throws -> Proven {
        let row = try requireUnlocked(proof.node, cluster, database)
        guard let bytes = Base64URL.decode(proof.challenge).map({ Array($0) }), bytes.count == 64,
            ConstantTime.equal(mark(Array(bytes.prefix(32)), proof.node, cluster), Array(bytes.suffix(32)))
        else { throw Refusal.unauthorized("challenge-unknown", "this challenge is not of this plane, for this node") }
        let madeAt: Int64 = BigEndian.number(bytes.prefix(8))
        guard (madeAt...madeAt + Recovery.challengeLifetime).contains(now) else {
            throw Refusal.unauthorized("challenge-expired", "this challenge is not of the last minute; ask again")
        }
        let stored: Data = row["public_key"]
        let signed = Recovery.signedBytes(
            challenge: proof.challenge, cluster: cluster, node: proof.node, requestDigest: requestDigest)
        guard let key = try? P256.Signing.PublicKey(derRepresentation: stored),
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: proof.signature),
            key.isValidSignature(signature, for: signed)
        else { throw Refusal.unauthorized("proof-wrong", "the proof is not made with this node's recovery key") }
        return Proven(
            proof: proof, cluster: cluster, nonce: Array(bytes[8..<24]), uses: BigEndian.number(bytes[24..<32]))
    }

    /// In the transaction that issues the certificate: this proof is used up.
    func use(_ proven: Proven, now: Int64, _ database: Database) throws {
        let (proof, cluster) = (proven.proof, proven.cluster)
        try requireExpired(proof.node, cluster, now, database)
        if let row = try Self.row(proof.node, cluster, database) {
            try noteDifference(proven, row["uses"], now, database)
        }
        let count = try countUse(proof, cluster, proven.nonce, now, database)
        try state.log.record(
            PlaneEvent(
                name: "recovery.use", actor: .stranger, cluster: cluster, node: proof.node,
                detail: "its identity had expired; the recovery key gave it another, \(count.now) of at most "
                    + "\(count.limit) in 30 days"),
            now: now, database)
    }

    /// One that recovered with a copy of this key.
    private func noteDifference(_ proven: Proven, _ uses: Int64, _ now: Int64, _ database: Database) throws {
        guard proven.uses != uses else { return }
        try state.log.record(
            PlaneEvent(
                name: "node.cloned", actor: .stranger, cluster: proven.cluster, node: proven.proof.node,
                detail: "it says that it has recovered \(proven.uses) times, and it was \(uses): two have its key, or "
                    + "it did not take what it was given"),
            now: now, database)
    }

    private func countUse(
        _ proof: Proof, _ cluster: String, _ nonce: [UInt8], _ now: Int64, _ database: Database
    ) throws -> (now: Int64, limit: Int64) {
        let limit = try Self.limit(of: cluster, database)
        let used =
            try Int64.fetchOne(
                database, sql: "SELECT count(*) FROM recovery_uses WHERE cluster = ? AND node = ? AND at > ?",
                arguments: [cluster, proof.node, now - Self.window]) ?? 0
        guard used < limit else {
            throw Refusal.denied(
                "recovery-limit", "\(proof.node) has recovered \(used) times in 30 days, and \(limit) are allowed")
        }
        try database.execute(
            sql: """
                INSERT INTO recovery_uses (nonce, cluster, node, at) VALUES (?, ?, ?, ?)
                ON CONFLICT (nonce) DO NOTHING
                """,
            arguments: [Data(nonce), cluster, proof.node, now])
        guard database.changesCount == 1 else {
            throw Refusal.unauthorized("challenge-used", "this challenge was answered before; ask for another")
        }
        try database.execute(
            sql: "UPDATE recovery_keys SET uses = uses + 1 WHERE cluster = ? AND node = ?",
            arguments: [cluster, proof.node])
        try database.execute(sql: "DELETE FROM recovery_uses WHERE at < ?", arguments: [now - Self.window])
        return (used + 1, limit)
    }

    // MARK: who may

    /// A node that was removed has no row any more; one whose newest identity was revoked is not to come back so.
    private func requireUnlocked(_ node: String, _ cluster: String, _ database: Database) throws -> Row {
        let revokedAt = try Row.fetchOne(
            database,
            sql: """
                SELECT revoked_at FROM certificates WHERE cluster = ? AND holder = ? AND kind = 'node'
                ORDER BY not_after DESC, not_before DESC LIMIT 1
                """,
            arguments: [cluster, node])
        let isRevoked = revokedAt.map { ($0["revoked_at"] as Int64?) != nil } ?? true
        guard !isRevoked, try Self.limit(of: cluster, database) > 0, let row = try Self.row(node, cluster, database)
        else {
            throw Refusal.locked(
                "\(node.prefix(63)) of \(cluster.prefix(63)) cannot recover by itself; it needs a new join bundle")
        }
        return row
    }

    private func requireExpired(_ node: String, _ cluster: String, _ now: Int64, _ database: Database) throws {
        let valid = try Int64.fetchOne(
            database,
            sql: """
                SELECT max(not_after) FROM certificates
                WHERE cluster = ? AND holder = ? AND kind = 'node' AND revoked_at IS NULL
                """,
            arguments: [cluster, node])
        if let valid, valid > now {
            throw Refusal.denied(
                "identity-valid", "\(node) has an identity until \(UnixTime.text(valid)), and renews with that")
        }
    }

    private static func row(_ node: String, _ cluster: String, _ database: Database) throws -> Row? {
        try Row.fetchOne(
            database, sql: "SELECT * FROM recovery_keys WHERE cluster = ? AND node = ?", arguments: [cluster, node])
    }

    // MARK: the limit

    static func limit(of cluster: String, _ database: Database) throws -> Int64 {
        try PlaneState.setting("recovery-limit \(cluster)", database)
            .flatMap { Int64(String(decoding: $0, as: UTF8.self)) } ?? usualLimit
    }

    static func setLimit(_ limit: Int64, of cluster: String, _ database: Database) throws {
        try PlaneState.set("recovery-limit \(cluster)", to: Data(String(limit).utf8), database)
    }
}
