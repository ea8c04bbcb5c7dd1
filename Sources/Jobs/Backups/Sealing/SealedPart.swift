import IO
import OpenSSL

/// Sealed bytes: a message's header, or one frame with its tag. Only `FrameSealer` puts bytes in it, and a target
/// stores nothing else of a stream: what was not sealed cannot leave.
package final class SealedPart {
    fileprivate let buffer: LaneBuffer
    /// Of the frame in it; the header's tag while it holds a header.
    package fileprivate(set) var tag: [UInt8] = []

    fileprivate init(capacity: Int) { buffer = LaneBuffer(capacity: capacity) }

    package var count: Int { buffer.count }

    /// Of its bytes alone.
    var crc32c: UInt32 { Digest.crc32c(buffer) }

    /// Writes all of it, which leaves the part empty.
    package func write(to descriptor: borrowing Descriptor) throws(IOError) { try descriptor.writeAll(from: buffer) }
}

/// Sealed bytes in a row, up to a length, for a target that stores objects in parts of its own. Filled from
/// `SealedPart`s and from `PublicDocument`s alone.
package struct SealedPayload: Sendable {
    fileprivate(set) var bytes: [UInt8] = []

    init() {}
    init(_ document: PublicDocument) { bytes = document.bytes }

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// Takes what is at `offset` of the part and behind, at most `limit` bytes; returns how many.
    mutating func append(_ part: SealedPart, from offset: Int, limit: Int) -> Int {
        part.buffer.copy(from: offset, limit: limit, to: &bytes)
    }
}

/// Seals frames for one worker: owns the worker's cipher, and the part that its ciphertext is in.
final class FrameSealer {
    let part: SealedPart
    private var message: MessageKey?
    private var cipher: AES256GCM?

    init(frameLength: Int) {
        part = SealedPart(capacity: max(frameLength + Frame.overhead, MessageHeader.byteLimit))
    }

    /// Puts the header of `message` into the part.
    func putHeader(of message: MessageKey) {
        part.buffer.removeAll()
        part.buffer.append(message.header.encoded)
        part.tag = message.header.tag
    }

    /// Seals all of `plain` as one frame. Whoever calls numbers frames from 1 and seals each number once: a regular
    /// and a final frame of the same number share their IV.
    func seal(_ plain: LaneBuffer, of message: MessageKey, sequence: UInt32, isFinal: Bool) throws(BackupError) {
        let frame = Frame(sequence: sequence, isFinal: isFinal, length: plain.count)
        precondition(isFinal ? frame.length <= message.header.frameLength : frame.length == message.header.frameLength)
        let cipher = try cipher(for: message)
        part.buffer.removeAll()
        part.buffer.append(frame.prefix)
        try cryptography("seal frame \(sequence)") {
            try cipher.seal(
                iv: frame.iv, aad: frame.associatedData(messageID: message.header.messageID), plain: plain,
                into: part.buffer)
        }
        part.tag = part.buffer.lastBytes(Frame.tagLength)
    }

    private func cipher(for message: MessageKey) throws(BackupError) -> AES256GCM {
        if let cipher, self.message === message { return cipher }
        let cipher = try message.makeCipher()
        (self.cipher, self.message) = (cipher, message)
        return cipher
    }
}

extension LaneBuffer {
    fileprivate func lastBytes(_ count: Int) -> [UInt8] { (self.count - count..<self.count).map { self[$0] } }
}
