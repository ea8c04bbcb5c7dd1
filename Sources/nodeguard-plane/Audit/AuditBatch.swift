import PlaneAPI

/// A batch as it came over the wire, taken apart and checked in itself: every event canonical, numbered without a gap,
/// of this node and epoch; the checkpoint of this log and of the batch's end. Whether it continues the log,
/// `AuditReceiver` decides.
struct AuditBatch: Sendable {
    let place: AuditPlace
    let first: UInt64
    let last: UInt64
    let events: [[UInt8]]
    let leaves: [[UInt8]]
    let note: SignedNote
    let noteText: String
    let checkpoint: Checkpoint

    init(_ body: [UInt8], place: AuditPlace, first: UInt64, last: UInt64) throws(Refusal) {
        guard first >= 1, first <= last, last - first < UInt64(AuditBatches.sizeLimit) else {
            throw .unprocessable("range", "a batch goes from a first to a last event, counted from 1")
        }
        self.place = place
        self.first = first
        self.last = last
        guard let border = Self.findBorder(body) else {
            throw .unprocessable("form", "a batch is events, an empty line, and a signed checkpoint")
        }
        let lines = body[..<border].split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) }
        guard UInt64(lines.count) == last - first + 1 else {
            throw .unprocessable("count", "the path says \(last - first + 1) events, the body has \(lines.count)")
        }
        for (index, line) in lines.enumerated() { try place.check(line, seq: first + UInt64(index)) }
        events = lines
        leaves = lines.map(MerkleRange.leaf)
        do {
            let noteBytes = body[(border + 2)...]
            note = try SignedNote(noteBytes)
            noteText = String(decoding: noteBytes, as: UTF8.self)
            checkpoint = try Checkpoint(note.text)
        } catch {
            throw .unprocessable("checkpoint", error.description)
        }
        guard checkpoint.origin == place.origin else {
            throw .unprocessable(
                "checkpoint-origin", "the checkpoint is of \(checkpoint.origin), not of \(place.origin)")
        }
        guard checkpoint.size == last else {
            throw .unprocessable(
                "checkpoint-size", "the checkpoint is of size \(checkpoint.size), the batch ends at \(last)")
        }
    }

    /// The LF that ends the last event; another one follows it. No event contains an LF.
    private static func findBorder(_ body: [UInt8]) -> Int? {
        body.indices.dropLast().first { body[$0] == 0x0A && body[$0 + 1] == 0x0A }
    }
}

/// Whose log, and which.
struct AuditPlace: Sendable, Equatable {
    let cluster: String
    let node: String
    let epoch: UInt64

    var origin: String { AuditBatches.origin(node: node, epoch: epoch) }

    func check(_ line: [UInt8], seq: UInt64) throws(Refusal) {
        let event: CanonicalJSON
        do {
            event = try CanonicalJSON(line)
        } catch {
            throw .unprocessable("not-canonical", "event \(seq): \(error) at byte \(error.offset)")
        }
        guard event["seq"]?.integer == Int64(clamping: seq) else {
            throw .unprocessable("sequence", "the event in the place of \(seq) has another seq")
        }
        guard event["epoch"]?.integer == Int64(clamping: epoch) else {
            throw .unprocessable("epoch", "event \(seq) is of another epoch than \(epoch)")
        }
        guard event["node"]?.text == node else {
            throw .unprocessable("node", "event \(seq) is not of the node \(node)")
        }
        if let named = event["cluster"], named.text != cluster {
            throw .unprocessable("cluster", "event \(seq) is not of the cluster \(cluster)")
        }
    }
}
