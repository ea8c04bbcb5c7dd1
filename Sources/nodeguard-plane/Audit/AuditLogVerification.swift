import Crypto
import FoundationEssentials

/// Recomputes one stored log from its events alone: sequence, canonical form, hash tree, every checkpoint's root and
/// signature, every cosignature. Trusts nothing that is derived.
struct AuditLogVerification {
    let log: AuditReceiver.Log
    let witness: WitnessKey

    static let pageSize = 5000

    struct Report: Equatable {
        var events: UInt64 = 0
        var checkpoints = 0
        /// nil: everything holds.
        var flaw: String?
    }

    private struct StoredBatch {
        let last: UInt64
        let checkpoint: String
        let cosignature: String
    }

    /// Page by page, so that a log of any size needs little memory.
    func run(_ database: Database) throws -> Report {
        var report = Report()
        var range = MerkleRange()
        var batches = try storedBatches(database)[...]
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: log.publicKey)
        while true {
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT seq, event FROM audit_events WHERE log = ? AND seq > ? ORDER BY seq LIMIT ?",
                arguments: [log.id, Int64(range.size), Self.pageSize])
            for row in rows {
                let seq: Int64 = row["seq"]
                let event: Data = row["event"]
                if let flaw = check(Array(event), seq: seq, after: range.size) { return report.failing(flaw) }
                range.append(MerkleRange.leaf(event))
                report.events = range.size
                guard let batch = batches.first, batch.last == range.size else { continue }
                if let flaw = check(batch, range, key) { return report.failing(flaw) }
                report.checkpoints += 1
                batches.removeFirst()
            }
            if rows.count < Self.pageSize { break }
        }
        if let missing = batches.first {
            return report.failing("the events up to the checkpoint of size \(missing.last) are missing")
        }
        if report.events > 0, try storedBatches(database).last?.last != range.size {
            return report.failing("no checkpoint covers the last events")
        }
        if range != log.range {
            return report.failing("the log was acknowledged up to \(log.range.size) with another tree")
        }
        return report
    }

    private func check(_ event: [UInt8], seq: Int64, after size: UInt64) -> String? {
        guard seq == Int64(size) + 1 else { return "event \(size + 1) is missing" }
        do {
            try log.place.check(event, seq: UInt64(seq))
            return nil
        } catch {
            return "event \(seq) was changed: \(error.detail)"
        }
    }

    private func check(_ batch: StoredBatch, _ range: MerkleRange, _ key: Curve25519.Signing.PublicKey) -> String? {
        guard let note = try? SignedNote(Array(batch.checkpoint.utf8)), let checkpoint = try? Checkpoint(note.text),
            checkpoint.origin == log.place.origin, checkpoint.size == range.size,
            note.isSigned(by: log.place.origin, key)
        else { return "the checkpoint of size \(batch.last) is not the one that the node signed" }
        guard checkpoint.root == range.root else {
            return "an event up to \(batch.last) was changed: the tree's root is not the one that the node signed"
        }
        guard witness.isCosigned(note.text, by: batch.cosignature) else {
            return "the cosignature of the checkpoint of size \(batch.last) is not this plane's"
        }
        return nil
    }

    private func storedBatches(_ database: Database) throws -> [StoredBatch] {
        try Row.fetchAll(
            database, sql: "SELECT last, checkpoint, cosignature FROM audit_batches WHERE log = ? ORDER BY last",
            arguments: [log.id]
        ).map { row in
            let last: Int64 = row["last"]
            return StoredBatch(
                last: UInt64(clamping: last), checkpoint: row["checkpoint"], cosignature: row["cosignature"])
        }
    }
}

extension AuditLogVerification.Report {
    fileprivate func failing(_ flaw: String) -> Self {
        var report = self
        report.flaw = flaw
        return report
    }
}
