import CLinux
import Glibc

/// An open file descriptor with exactly one owner, which closes it.
package struct Descriptor: ~Copyable, Sendable {
    package let rawValue: Int32

    /// Takes `rawValue` over.
    package init(owning rawValue: Int32) {
        precondition(rawValue >= 0)
        self.rawValue = rawValue
    }

    deinit { _ = close(rawValue) }

    /// Gives the descriptor away without closing it.
    package consuming func release() -> Int32 {
        let value = rawValue
        discard self
        return value
    }

    package borrowing func duplicate() throws(IOError) -> Descriptor {
        let copy = fcntl(rawValue, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw IOError("duplicate descriptor \(rawValue)") }
        return Descriptor(owning: copy)
    }

    /// Reads what there is into the buffer's free space, waiting for the first byte; 0 at the end.
    package borrowing func read(into buffer: LaneBuffer) throws(IOError) -> Int {
        precondition(buffer.freeCount > 0)
        var outcome = 0
        buffer.withFreeSpace { space in
            outcome = retrying { Glibc.read(rawValue, space.baseAddress, space.count) }
            return max(0, outcome)
        }
        guard outcome >= 0 else { throw IOError("read") }
        return outcome
    }

    /// Writes and consumes all that the buffer holds.
    package borrowing func writeAll(from buffer: LaneBuffer) throws(IOError) {
        while !buffer.isEmpty {
            let written = buffer.withReadableBytes { bytes in
                retrying { Glibc.write(rawValue, bytes.baseAddress, bytes.count) }
            }
            guard written >= 0 else { throw IOError("write") }
            buffer.consume(written)
        }
    }

    package borrowing func writeAll(_ bytes: [UInt8]) throws(IOError) {
        var start = 0
        while start < bytes.count {
            let written = bytes[start...].withUnsafeBytes { rest in
                retrying { Glibc.write(rawValue, rest.baseAddress, rest.count) }
            }
            guard written >= 0 else { throw IOError("write") }
            start += written
        }
    }

    /// Of a secret, too: nothing is copied.
    package borrowing func writeAll(_ bytes: Span<UInt8>) throws(IOError) {
        var start = 0
        while start < bytes.count {
            let written = bytes.withUnsafeBufferPointer { all in
                retrying { Glibc.write(rawValue, all.baseAddress.map { $0 + start }, all.count - start) }
            }
            guard written >= 0 else { throw IOError("write") }
            start += written
        }
    }

    /// Returns when the data are on the disk (fsync(2)).
    package borrowing func synchronize() throws(IOError) {
        guard retrying({ fsync(rawValue) }) == 0 else { throw IOError("fsync") }
    }
}

/// A pipe whose ends are taken out one by one; what is not taken is closed.
package struct Pipe: ~Copyable {
    private var reader: Descriptor?
    private var writer: Descriptor?

    package init() throws(IOError) {
        var ends: [Int32] = [-1, -1]
        guard CLinux_pipe(&ends) == 0 else { throw IOError("make a pipe") }
        reader = Descriptor(owning: ends[0])
        writer = Descriptor(owning: ends[1])
    }

    package mutating func takeReader() -> Descriptor? { reader.take() }
    package mutating func takeWriter() -> Descriptor? { writer.take() }
}
