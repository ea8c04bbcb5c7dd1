import IO
import OpenSSL
import Synchronization

/// One frame on its way from the target to whoever restores: its ciphertext, and the plaintext once its tag is checked.
final class OpeningSlot: Sendable {
    private struct Contents {
        /// Exactly a full frame's ciphertext and tag, so that reading never goes beyond the frame.
        let sealed: LaneBuffer
        let plain: LaneBuffer
        var message: MessageKey?
        var frame: Frame?
        var cipher: AES256GCM?
        var failure: BackupError?
    }

    private let contents: Mutex<Contents>

    init(frameLength: Int) {
        contents = Mutex(
            Contents(
                sealed: LaneBuffer(capacity: frameLength + Frame.tagLength), plain: LaneBuffer(capacity: frameLength)))
    }

    /// Takes the ciphertext and tag of `frame`; returns the tag.
    func fill(_ frame: Frame, of message: MessageKey, from source: any ByteSource) throws(BackupError) -> [UInt8] {
        let expected = frame.length + Frame.tagLength
        return try contents.withLock { contents throws(BackupError) in
            contents.sealed.removeAll()
            while contents.sealed.count < expected {
                if try source.read(into: contents.sealed) == 0 {
                    throw BackupError(.corrupt, "cut short in frame \(frame.sequence)")
                }
            }
            // Only a final frame is shorter than the buffer.
            guard contents.sealed.count == expected else {
                throw BackupError(.corrupt, "bytes follow the final frame")
            }
            if message !== contents.message { contents.cipher = try message.makeCipher() }
            (contents.message, contents.frame, contents.failure) = (message, frame, nil)
            return (frame.length..<expected).map { contents.sealed[$0] }
        }
    }

    func open() {
        contents.withLock { contents in
            do throws(BackupError) {
                try Self.open(&contents)
            } catch {
                contents.plain.removeAll()
                contents.failure = error
            }
        }
    }

    private static func open(_ contents: inout Contents) throws(BackupError) {
        guard let message = contents.message, let frame = contents.frame, let cipher = contents.cipher else { return }
        let tag = (0..<Frame.tagLength).map { contents.sealed[frame.length + $0] }
        let (sealed, plain) = (contents.sealed, contents.plain)
        plain.removeAll()
        let isGenuine = cipher.open(
            iv: frame.iv, aad: frame.associatedData(messageID: message.header.messageID), cipher: sealed,
            count: frame.length, tag: tag, into: plain)
        guard isGenuine else { throw BackupError(.corrupt, "frame \(frame.sequence) was changed") }
    }

    /// Gives the plaintext to `sink`; returns its length. A frame that did not open is thrown, and nothing of it
    /// released.
    func release(to sink: any ByteSink) throws(BackupError) -> Int {
        try contents.withLock { contents throws(BackupError) in
            if let failure = contents.failure { throw failure }
            let length = contents.plain.count
            if length > 0 { try sink.write(from: contents.plain) }
            return length
        }
    }
}
