import IO

enum SendOutcome: Equatable {
    case complete
    /// The rest is kept; send it when the socket is writable again.
    case blocked
    case failed(IOError)
}

/// Bytes that a socket did not take yet, in a buffer of just their size; owned by one connection, in order.
struct Leftovers {
    private var buffer: LaneBuffer?

    var isEmpty: Bool { buffer == nil }
    /// What they pin in memory.
    var size: Int { buffer?.capacity ?? 0 }

    init() {}

    init(_ bytes: [UInt8]) { append(bytes) }

    /// Everything that is left, for another owner.
    mutating func takeAll() -> [UInt8] {
        defer { buffer = nil }
        return buffer?.bytes() ?? []
    }

    mutating func append(_ bytes: [UInt8]) {
        if bytes.isEmpty { return }
        makeRoom(for: bytes.count).append(bytes)
    }

    /// Sends all of `source` behind what is left over; `source` is empty afterwards, except after a failure.
    mutating func send(_ source: LaneBuffer, to stream: borrowing StreamSocket) -> SendOutcome {
        if source.isEmpty { return isEmpty ? .complete : .blocked }
        if isEmpty {
            if case .failed(let error) = stream.write(from: source) { return .failed(error) }
            if source.isEmpty { return .complete }
        }
        makeRoom(for: source.count).append(from: source)
        return .blocked
    }

    mutating func flush(to stream: borrowing StreamSocket) -> SendOutcome {
        guard let waiting = buffer else { return .complete }
        if case .failed(let error) = stream.write(from: waiting) { return .failed(error) }
        guard waiting.isEmpty else { return .blocked }
        buffer = nil
        return .complete
    }

    private mutating func makeRoom(for count: Int) -> LaneBuffer {
        let grown = LaneBuffer(capacity: (buffer?.count ?? 0) + count)
        if let buffer { grown.append(from: buffer) }
        buffer = grown
        return grown
    }
}
