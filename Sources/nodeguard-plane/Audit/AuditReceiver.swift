import Crypto
import FoundationEssentials
import PlaneAPI

/// Takes the audit batches of nodes: what it acknowledges is verified against everything that it took before, and
/// durable.
struct AuditReceiver: Sendable {
    let state: PlaneState

    enum Outcome: Sendable, Equatable {
        case acknowledged(AuditAcknowledgement)
        case conflict(AuditConflict)
    }

    /// Once per log, idempotent; a log's key never changes.
    func register(_ key: Data, for place: AuditPlace, by actor: PlaneEvent.Actor, now: Int64) throws {
        guard key.count == 32, (try? Curve25519.Signing.PublicKey(rawRepresentation: key)) != nil else {
            throw Refusal.unprocessable("key-malformed", "an audit key is the 32 raw bytes of an Ed25519 public key")
        }
        try state.database.write { database in
            if let known = try Log.find(place, database) {
                guard known.publicKey == key else {
                    throw Refusal.unprocessable(
                        "key-differs", "\(place.origin) has another key already; begin a new epoch")
                }
                return
            }
            try database.execute(
                sql: "INSERT INTO audit_logs (cluster, node, epoch, public_key, registered_at) VALUES (?, ?, ?, ?, ?)",
                arguments: [place.cluster, place.node, Int64(place.epoch), key, now])
            try state.log.record(
                PlaneEvent(
                    name: "audit.key", actor: actor, cluster: place.cluster, node: place.node,
                    detail: "epoch \(place.epoch)"),
                now: now, database)
        }
    }

    func receive(_ batch: AuditBatch, now: Int64) throws -> Outcome {
        try state.database.write { database in
            guard var log = try Log.find(batch.place, database) else {
                throw Refusal.unprocessable("key-not-registered", "register the key of \(batch.place.origin) first")
            }
            let key = try Curve25519.Signing.PublicKey(rawRepresentation: log.publicKey)
            guard batch.note.isSigned(by: batch.place.origin, key) else {
                throw Refusal.unprocessable("checkpoint-signature", "the checkpoint is not signed by the log's key")
            }
            if batch.last <= log.range.size {
                return .acknowledged(try answerAgain(batch, log, database))
            }
            guard batch.first == log.range.size + 1 else {
                try recordGap(before: batch, log, now, database)
                return .conflict(AuditConflict(next: log.range.size + 1))
            }
            for leaf in batch.leaves { log.range.append(leaf) }
            guard log.range.root == batch.checkpoint.root else {
                throw Refusal.unprocessable(
                    "checkpoint-root", "the events do not lead to the checkpoint's root at size \(batch.last)")
            }
            let cosignature = try state.witness.cosign(batch.note.text, now: now)
            try store(batch, log, cosignature, now, database)
            return .acknowledged(AuditAcknowledgement(acknowledged: batch.last, cosignature: cosignature))
        }
    }

    /// What the plane acknowledged after the backup that it was made of is nowhere any more: said once for each log, in
    /// the log that the plane signs. The node hears what is expected of it, and goes on with a new epoch.
    private func recordGap(before batch: AuditBatch, _ log: Log, _ now: Int64, _ database: Database) throws {
        let mark = "audit-gap-\(log.id)"
        guard batch.first > log.range.size + 1, let restoration = try Restoration.current(database),
            try PlaneState.setting(mark, database) == nil
        else { return }
        try PlaneState.set(mark, to: Data(), database)
        try state.log.record(
            PlaneEvent(
                name: "audit.gap", actor: .plane, cluster: batch.place.cluster, node: batch.place.node,
                detail: "epoch \(batch.place.epoch): events \(log.range.size + 1) to \(batch.first - 1) are lost; they "
                    + "were acknowledged before this plane was restored from its backup of "
                    + UnixTime.text(restoration.backupAt)),
            now: now, database)
    }

    /// The first answer may have been lost. The same events are acknowledged again; other ones in their place are a
    /// fork.
    private func answerAgain(_ batch: AuditBatch, _ log: Log, _ database: Database) throws -> AuditAcknowledgement {
        let stored = try Data.fetchAll(
            database, sql: "SELECT event FROM audit_events WHERE log = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            arguments: [log.id, Int64(batch.first), Int64(batch.last)])
        guard stored.elementsEqual(batch.events, by: { $0.elementsEqual($1) }) else {
            throw Refusal.unprocessable(
                "differs-from-stored", "other events were acknowledged as \(batch.first) to \(batch.last)")
        }
        let row = try Row.fetchOne(
            database, sql: "SELECT checkpoint, cosignature FROM audit_batches WHERE log = ? AND last = ?",
            arguments: [log.id, Int64(batch.last)])
        let cosignature: String? = row.flatMap { $0["checkpoint"] == batch.noteText ? $0["cosignature"] : nil }
        return AuditAcknowledgement(acknowledged: batch.last, cosignature: cosignature)
    }

    private func store(
        _ batch: AuditBatch, _ log: Log, _ cosignature: String, _ now: Int64, _ database: Database
    ) throws {
        let insert = try database.cachedStatement(sql: "INSERT INTO audit_events (log, seq, event) VALUES (?, ?, ?)")
        for (index, event) in batch.events.enumerated() {
            try insert.execute(arguments: [log.id, Int64(batch.first) + Int64(index), Data(event)])
        }
        try database.execute(
            sql: """
                INSERT INTO audit_batches (log, first, last, checkpoint, cosignature, received_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [log.id, Int64(batch.first), Int64(batch.last), batch.noteText, cosignature, now])
        try database.execute(
            sql: "UPDATE audit_logs SET size = ?, peaks = ? WHERE id = ?",
            arguments: [Int64(log.range.size), Data(log.range.peakBytes), log.id])
    }
}

extension AuditReceiver {
    /// One log as it stands: its key, and the compact range over everything acknowledged.
    struct Log: Sendable {
        let id: Int64
        let place: AuditPlace
        let publicKey: Data
        var range: MerkleRange

        static func find(_ place: AuditPlace, _ database: Database) throws -> Log? {
            try Row.fetchOne(
                database, sql: "SELECT * FROM audit_logs WHERE cluster = ? AND node = ? AND epoch = ?",
                arguments: [place.cluster, place.node, Int64(place.epoch)]
            ).map(Log.init)
        }

        /// Oldest first; of every node, or of one.
        static func all(node: String?, cluster: String?, _ database: Database) throws -> [Log] {
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM audit_logs WHERE (?1 IS NULL OR node = ?1) AND (?2 IS NULL OR cluster = ?2)
                    ORDER BY cluster, node, epoch
                    """,
                arguments: [node, cluster]
            ).map(Log.init)
        }

        private init(_ row: Row) throws {
            id = row["id"]
            let epoch: Int64 = row["epoch"]
            let size: Int64 = row["size"]
            place = AuditPlace(cluster: row["cluster"], node: row["node"], epoch: UInt64(clamping: epoch))
            publicKey = row["public_key"]
            let peaks: Data = row["peaks"]
            guard let range = MerkleRange(size: UInt64(clamping: size), peakBytes: Array(peaks)) else {
                throw PlaneProblem(
                    "the stored tree of \(place.origin) is damaged", remedy: "restore plane.sqlite from your copy")
            }
            self.range = range
        }
    }
}
