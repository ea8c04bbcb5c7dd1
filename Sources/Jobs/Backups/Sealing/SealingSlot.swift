import IO
import Synchronization

/// Where one frame of a stream stands.
struct FramePlace: Sendable {
    let message: MessageKey
    let volume: Int
    let sequence: UInt32
    let isFinal: Bool
}

/// One frame on its way from the producer to the target: its plaintext, and the worker that seals it.
final class SealingSlot: Sendable {
    /// What was stored of one frame.
    struct Stored: Sendable {
        let length: Int
        let plaintextLength: Int
        let tag: [UInt8]
        let crc32c: UInt32
    }

    private struct Contents {
        let plain: LaneBuffer
        let sealer: FrameSealer
        var place: FramePlace?
        var plaintextLength = 0
        /// Of the sealed frame; reckoned by the worker, as it costs about as much as sealing.
        var crc32c: UInt32 = 0
        var failure: BackupError?
    }

    private let contents: Mutex<Contents>

    init(frameLength: Int) {
        contents = Mutex(
            Contents(plain: LaneBuffer(capacity: frameLength), sealer: FrameSealer(frameLength: frameLength)))
    }

    /// Reads until the frame is full or the source has ended; `ahead` comes first. Returns how much it holds.
    func fill(with ahead: [UInt8], from source: any ByteSource) throws(BackupError) -> Int {
        try contents.withLock { contents throws(BackupError) in
            contents.plain.removeAll()
            contents.plain.append(ahead)
            while contents.plain.freeCount > 0 {
                if try source.read(into: contents.plain) == 0 { break }
            }
            contents.plaintextLength = contents.plain.count
            contents.failure = nil
            return contents.plain.count
        }
    }

    func assign(_ place: FramePlace) { contents.withLock { $0.place = place } }

    var place: FramePlace? { contents.withLock { $0.place } }

    func seal() {
        contents.withLock { contents in
            guard let place = contents.place else { return }
            do throws(BackupError) {
                try contents.sealer.seal(
                    contents.plain, of: place.message, sequence: place.sequence, isFinal: place.isFinal)
                contents.crc32c = contents.sealer.part.crc32c
            } catch {
                contents.failure = error
            }
        }
    }

    func store(in writer: any SealedObjectWriter) throws(BackupError) -> Stored {
        try contents.withLock { contents throws(BackupError) in
            if let failure = contents.failure { throw failure }
            let part = contents.sealer.part
            let stored = Stored(
                length: part.count, plaintextLength: contents.plaintextLength, tag: part.tag, crc32c: contents.crc32c)
            try writer.append(part)
            return stored
        }
    }
}
