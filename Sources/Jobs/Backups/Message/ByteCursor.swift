/// Bytes that are no message of the format, and why.
package struct MalformedMessage: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    /// How many bytes at least are lacking; 0 if no more bytes could make it whole.
    let missing: Int

    init(_ description: String, missing: Int = 0) {
        self.description = description
        self.missing = missing
    }
}

/// Reads big-endian fields from the start of `bytes`; running out of them is an error that says so.
struct ByteCursor {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func bytes(_ count: Int, _ what: String) throws(MalformedMessage) -> [UInt8] {
        guard count <= bytes.count - offset else {
            throw MalformedMessage("cut short in \(what)", missing: count - (bytes.count - offset))
        }
        defer { offset += count }
        return Array(bytes[offset..<(offset + count)])
    }

    mutating func integer8(_ what: String) throws(MalformedMessage) -> UInt8 { try bytes(1, what)[0] }

    mutating func integer16(_ what: String) throws(MalformedMessage) -> UInt16 {
        try bytes(2, what).reduce(0) { $0 << 8 | UInt16($1) }
    }

    mutating func integer32(_ what: String) throws(MalformedMessage) -> UInt32 {
        try bytes(4, what).reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// The bytes of an integer, the most significant first.
func bigEndian<Integer: FixedWidthInteger & UnsignedInteger>(_ value: Integer) -> [UInt8] {
    stride(from: Integer.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> Integer($0)) }
}
