/// Follows the messages of a PostgreSQL server without copying them: five bytes of each are looked at, the rest is
/// skipped. Only between two messages may the proxy say something of its own.
///
/// Owned by one relayed connection, from the server's first byte after its StartupMessage (Message Formats, protocol
/// 3: a type byte, then a length that counts itself).
struct MessageBoundaryStateMachine {
    private static let headerLength = 5

    private var headerCount = 0
    private var length: UInt32 = 0
    private var remaining = 0
    /// The server does not speak the protocol: there are no more boundaries.
    private var isLost = false

    var isBetweenMessages: Bool { !isLost && headerCount == 0 && remaining == 0 }

    /// How many of the next `count` bytes need not be looked at.
    mutating func skipped(upTo count: Int) -> Int {
        if isLost { return count }
        let skipped = min(remaining, count)
        remaining -= skipped
        return skipped
    }

    /// The next byte, which no skip covered.
    mutating func saw(_ byte: UInt8) {
        if headerCount > 0 { length = length << 8 | UInt32(byte) }
        headerCount += 1
        guard headerCount == Self.headerLength else { return }
        isLost = length < 4 || length > 1 << 30
        remaining = isLost ? 0 : Int(length) - 4
        headerCount = 0
        length = 0
    }
}
