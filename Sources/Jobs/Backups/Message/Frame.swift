/// Where a frame stands in its message, and how that is written around its ciphertext (ESDK message body, framed).
struct Frame: Equatable, Sendable {
    static let finalMark: UInt32 = 0xFFFF_FFFF
    static let ivLength = 12
    static let tagLength = 16
    /// Before the ciphertext of a regular frame: its sequence number and IV.
    static let regularPrefixLength = 4 + ivLength
    /// Before the ciphertext of the final frame: the mark, sequence number, IV and length.
    static let finalPrefixLength = 4 + 4 + ivLength + 4
    static let overhead = finalPrefixLength + tagLength

    /// From 1, without gaps.
    let sequence: UInt32
    let isFinal: Bool
    /// Bytes of plaintext, and so of ciphertext.
    let length: Int

    /// Deterministic (SP 800-38D §8.2.1): unique because a data key seals one message, and a sequence number once.
    var iv: [UInt8] { [UInt8](repeating: 0, count: 8) + bigEndian(sequence) }

    var prefix: [UInt8] {
        isFinal
            ? bigEndian(Self.finalMark) + bigEndian(sequence) + iv + bigEndian(UInt32(length))
            : bigEndian(sequence) + iv
    }

    var encodedLength: Int {
        (isFinal ? Self.finalPrefixLength : Self.regularPrefixLength) + length + Self.tagLength
    }

    /// The tag's associated data. Whether the frame is the last is part of it: a cut stream has no valid end.
    func associatedData(messageID: [UInt8]) -> [UInt8] {
        let label = isFinal ? "AWSKMSEncryptionClient Final Frame" : "AWSKMSEncryptionClient Frame"
        return messageID + Array(label.utf8) + bigEndian(sequence) + bigEndian(UInt64(length))
    }

    /// A whole prefix. What it says is only a claim until the tag is checked; order is `FrameOrderStateMachine`'s
    /// matter.
    static func parse(prefix: [UInt8], frameLength: Int) throws(MalformedMessage) -> Frame {
        var cursor = ByteCursor(prefix)
        let mark = try cursor.integer32("a frame's sequence number")
        let isFinal = mark == finalMark
        let sequence = isFinal ? try cursor.integer32("the final frame's sequence number") : mark
        let iv = try cursor.bytes(ivLength, "a frame's IV")
        let length = isFinal ? Int(try cursor.integer32("the final frame's length")) : frameLength
        guard length <= frameLength else {
            throw MalformedMessage("the final frame says \(length) bytes, more than a frame of \(frameLength)")
        }
        let frame = Frame(sequence: sequence, isFinal: isFinal, length: length)
        guard iv == frame.iv, cursor.isAtEnd else {
            throw MalformedMessage("the IV of frame \(sequence) is not its sequence number")
        }
        return frame
    }
}
