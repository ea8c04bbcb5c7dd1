import CLinux
import Glibc

/// Ends blocking reads and writes on a descriptor that belongs to others as well.
///
/// A passed pipe cannot be made non-blocking: the flag is part of the file description that the sender keeps
/// (fcntl(2)). So a thread that must be able to give up polls it beside this bell first.
package final class Interruption: Sendable {
    /// Once readable, always readable: nobody takes the ring away.
    private let bell: Descriptor

    package init() throws(IOError) {
        let bell = CLinux_bell()
        guard bell >= 0 else { throw IOError("make an event descriptor") }
        self.bell = Descriptor(owning: bell)
    }

    /// From any thread; every wait, running or later, ends at once.
    package func ring() {
        var one: UInt64 = 1
        _ = write(bell.rawValue, &one, 8)
    }

    /// False once it was rung; else returns when a call on `descriptor` would not block for its first byte.
    fileprivate func waits(for descriptor: Int32, _ events: Int32) throws(IOError) -> Bool {
        var watched = [
            pollfd(fd: bell.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(events), revents: 0),
        ]
        guard retrying({ Int(poll(&watched, 2, -1)) }) >= 0 else { throw IOError("poll") }
        return watched[0].revents == 0
    }
}

extension Descriptor {
    /// As `read(into:)`; nil once it was interrupted.
    package borrowing func read(into buffer: LaneBuffer, until interruption: Interruption) throws(IOError) -> Int? {
        guard try interruption.waits(for: rawValue, POLLIN) else { return nil }
        return try read(into: buffer)
    }

    /// Writes and consumes all that the buffer holds; false once it was interrupted, with some of it written.
    ///
    /// A pipe that polls as writable takes a page without blocking, and no more for certain (pipe(7), PIPE_BUF).
    package borrowing func writeAll(from buffer: LaneBuffer, until interruption: Interruption) throws(IOError) -> Bool {
        let piece = isRegularFile ? Int.max : 4096
        while !buffer.isEmpty {
            guard try interruption.waits(for: rawValue, POLLOUT) else { return false }
            let written = buffer.withReadableBytes { bytes in
                retrying { Glibc.write(rawValue, bytes.baseAddress, min(piece, bytes.count)) }
            }
            guard written >= 0 else { throw IOError("write") }
            buffer.consume(written)
        }
        return true
    }

    private var isRegularFile: Bool {
        var status = stat()
        return fstat(rawValue, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
}
