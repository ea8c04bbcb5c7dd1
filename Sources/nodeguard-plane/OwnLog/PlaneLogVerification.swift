import FoundationEssentials

/// Recomputes the plane's own log from its events alone, in one snapshot of the store: numbers, form, the mark of each
/// event, hash tree, and the signed checkpoint.
struct PlaneLogVerification {
    let key: WitnessKey

    struct Report: Equatable {
        var events: UInt64 = 0
        /// nil: everything holds.
        var flaw: String?
    }

    func run(_ database: Database) throws -> Report {
        var report = Report()
        report.flaw = try flaw(counting: &report.events, database)
        return report
    }

    private func flaw(counting events: inout UInt64, _ database: Database) throws -> String? {
        guard
            let row = try Row.fetchOne(database, sql: "SELECT size, peaks, checkpoint FROM plane_log"),
            let text: String = row["checkpoint"], let note = try? SignedNote(Array(text.utf8)),
            let checkpoint = try? Checkpoint(note.text), checkpoint.origin == key.name, key.isSigned(note)
        else { return "its checkpoint is missing, or not the one that this plane signed" }
        var range = MerkleRange()
        let rows = try Row.fetchCursor(database, sql: "SELECT seq, event, mark FROM plane_events ORDER BY seq")
        while let row = try rows.next() {
            let seq: Int64 = row["seq"]
            guard seq > 0, seq <= Int64(clamping: checkpoint.size) else {
                return "event \(seq) was added: the plane signed the events 1 to \(checkpoint.size)"
            }
            guard seq == Int64(range.size) + 1 else { return "event \(range.size + 1) is missing" }
            let event = Array(row["event"] as Data)
            if let flaw = check(event, seq: seq, mark: Array(row["mark"] as Data)) { return flaw }
            range.append(MerkleRange.leaf(event))
            events = range.size
        }
        guard range.size == checkpoint.size else {
            return "event \(range.size + 1) is missing, and all after it up to \(checkpoint.size)"
        }
        guard range.root == checkpoint.root else {
            return "an event up to \(checkpoint.size) was changed: the tree's root is not the one that was signed"
        }
        guard row["size"] == Int64(checkpoint.size), row["peaks"] == Data(range.peakBytes) else {
            return "the tree that it goes on from at event \(checkpoint.size + 1) is not that of its events"
        }
        return nil
    }

    private func check(_ event: [UInt8], seq: Int64, mark: [UInt8]) -> String? {
        guard ConstantTime.equal(key.mark(event), mark) else { return "event \(seq) was changed" }
        // The mark is the plane's own, so the event is one; whether this is its place, it says itself.
        guard let own = (try? CanonicalJSON(event))?["seq"]?.integer, own == seq else {
            return "another event of this log stands in the place of event \(seq)"
        }
        return nil
    }
}
