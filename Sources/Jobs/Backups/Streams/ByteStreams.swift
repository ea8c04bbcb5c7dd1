import IO

/// Where bytes come from: a producer's pipe, or a stored object. Blocks; used by one reader at a time.
package protocol ByteSource: Sendable {
    /// Fills some of the free space; 0 means the end.
    func read(into buffer: LaneBuffer) throws(BackupError) -> Int
}

/// Where restored bytes go. Blocks until all of `buffer` is taken.
package protocol ByteSink: Sendable {
    func write(from buffer: LaneBuffer) throws(BackupError)
}

/// The descriptor that a client handed over with its request: the producer's pipe, or where the restored bytes go.
/// Owned by one stream; closing it is how a producer learns that nobody reads any more.
package final class PassedDescriptor: ByteSource, ByteSink {
    private let descriptor: Descriptor
    private let interruption: Interruption
    private static let ended = BackupError(.cancelled, "the stream was ended before its other side had finished")

    /// `interruption`: ends a read or write that waits for the other side.
    package init(_ descriptor: consuming Descriptor, until interruption: Interruption) {
        self.descriptor = descriptor
        self.interruption = interruption
    }

    package func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        let count: Int?
        do {
            count = try descriptor.read(into: buffer, until: interruption)
        } catch { throw BackupError(.producer, "could not read the stream: \(error)") }
        guard let count else { throw Self.ended }
        return count
    }

    package func write(from buffer: LaneBuffer) throws(BackupError) {
        let isComplete: Bool
        do {
            isComplete = try descriptor.writeAll(from: buffer, until: interruption)
        } catch { throw BackupError(.consumer, "could not hand the restored stream over: \(error)") }
        guard isComplete else { throw Self.ended }
    }
}

/// Takes what `verify` opens, and forgets it.
struct DiscardingSink: ByteSink {
    func write(from buffer: LaneBuffer) throws(BackupError) { buffer.removeAll() }
}
