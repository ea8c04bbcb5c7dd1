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

    package init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    package func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        do {
            return try descriptor.read(into: buffer)
        } catch { throw BackupError(.producer, "could not read the stream: \(error)") }
    }

    package func write(from buffer: LaneBuffer) throws(BackupError) {
        do {
            try descriptor.writeAll(from: buffer)
        } catch { throw BackupError(.consumer, "could not hand the restored stream over: \(error)") }
    }
}

/// Takes what `verify` opens, and forgets it.
struct DiscardingSink: ByteSink {
    func write(from buffer: LaneBuffer) throws(BackupError) { buffer.removeAll() }
}
