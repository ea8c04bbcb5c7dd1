import PlaneAPI

/// Consecutive events of one log with a checkpoint that covers them, as they go over the wire
/// (`PlaneAPI.AuditBatches`).
package struct AuditBatch: Sendable, Equatable {
    package let epoch: UInt64
    package let first: UInt64
    package let last: UInt64
    package let checkpoint: SignedNote
    package let body: [UInt8]

    /// What a checkpoint and its signature may take of the plane's limit.
    static let eventBytes = AuditBatches.sizeLimit - SignedNote.sizeLimit

    init(epoch: UInt64, first: UInt64, lines: [ArraySlice<UInt8>], checkpoint: SignedNote) {
        precondition(!lines.isEmpty)
        self.epoch = epoch
        self.first = first
        last = first + UInt64(lines.count) - 1
        self.checkpoint = checkpoint
        var body: [UInt8] = []
        body.reserveCapacity(lines.reduce(SignedNote.sizeLimit) { $0 + $1.count + 1 })
        for line in lines {
            body += line
            body.append(0x0A)
        }
        body.append(0x0A)
        body += checkpoint.fullText.utf8
        self.body = body
    }
}
