/// A fixed-capacity byte buffer that is filled at its end and emptied at its start.
///
/// Not `Sendable`: it belongs to one lane or one blocking queue. Never grows; whoever fills it respects `freeCount`.
package final class LaneBuffer {
    package let capacity: Int
    private let storage: UnsafeMutableRawPointer
    private var start = 0
    private var end = 0

    package init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
        storage = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit {
        storage.deallocate()
    }

    /// Bytes that wait to be consumed.
    package var count: Int { end - start }
    package var isEmpty: Bool { start == end }
    /// Bytes that can still be appended (after compaction, which appending does by itself).
    package var freeCount: Int { capacity - count }

    package func removeAll() {
        start = 0
        end = 0
    }

    /// Drops `count` bytes from the start.
    package func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count)
        start += count
        if start == end { removeAll() }
    }

    package func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    package func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= freeCount, "the buffer is full: check freeCount first")
        withFreeSpace { free in
            free.copyMemory(from: bytes)
            return bytes.count
        }
    }

    /// Moves as many bytes as fit from `source`; returns how many.
    @discardableResult
    package func append(from source: LaneBuffer, limit: Int = .max) -> Int {
        let moved = min(source.count, freeCount, limit)
        source.withReadableBytes { append(UnsafeRawBufferPointer(rebasing: $0[..<moved])) }
        source.consume(moved)
        return moved
    }

    /// A copy of the first `limit` bytes, which stay.
    package func bytes(limit: Int = .max) -> [UInt8] {
        withReadableBytes { Array($0.prefix(limit)) }
    }

    /// Copies up to `limit` bytes, those from `offset` on, to the end of `bytes`; all of them stay. Returns how many.
    package func copy(from offset: Int, limit: Int, to bytes: inout [UInt8]) -> Int {
        precondition(offset >= 0 && offset <= count && limit >= 0)
        let copied = min(limit, count - offset)
        withReadableBytes { bytes.append(contentsOf: $0[offset..<offset + copied]) }
        return copied
    }

    package subscript(offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < count)
        return storage.load(fromByteOffset: start + offset, as: UInt8.self)
    }

    package func withReadableBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(start: storage + start, count: count))
    }

    /// Gives `body` the whole free space; `body` returns how many bytes it filled from the space's start.
    @discardableResult
    package func withFreeSpace(_ body: (UnsafeMutableRawBufferPointer) throws -> Int) rethrows -> Int {
        if start > 0 {
            storage.copyMemory(from: storage + start, byteCount: count)
            end -= start
            start = 0
        }
        let filled = try body(UnsafeMutableRawBufferPointer(start: storage + end, count: capacity - end))
        precondition(filled >= 0 && filled <= capacity - end)
        end += filled
        return filled
    }
}
