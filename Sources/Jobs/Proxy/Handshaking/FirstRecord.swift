import IO

/// How much is there of what should be a ClientHello (RFC 8446 section 5.1).
enum FirstRecord: Equatable {
    /// It does not begin as TLS does.
    case clear
    case partial
    /// All of it, or so much that OpenSSL can say what is wrong with it.
    case whole

    private static let headerLength = 5
    private static let longestFragment = 1 << 14
    /// A ClientHello longer than a record has its rest behind it.
    static let longest = headerLength + longestFragment

    /// `buffer`: what was peeked, from the first byte on.
    init(_ buffer: LaneBuffer) {
        guard !buffer.isEmpty, buffer[0] == 0x16 else {
            self = .clear
            return
        }
        guard buffer.count >= Self.headerLength else {
            self = .partial
            return
        }
        let length = Int(buffer[3]) << 8 | Int(buffer[4])
        let isThere = buffer.count >= Self.headerLength + length
        self = isThere || length > Self.longestFragment || buffer.freeCount == 0 ? .whole : .partial
    }
}
