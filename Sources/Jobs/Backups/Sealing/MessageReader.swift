import IO
import OpenSSL

/// Reads one stored message frame by frame, never a byte beyond what the next field needs, and holds it to its order
/// and to what the manifest says of it.
final class MessageReader {
    let expected: SealedMessage
    private(set) var length: Int64 = 0
    private let source: any StoredObject
    private let message: MessageKey
    private var order = FrameOrderStateMachine()
    private let tags = Digest.SHA256()
    private var frames = 0
    private var plaintextLength: Int64 = 0
    private var isFinalRead = false

    /// Reads and checks the header.
    init(_ expected: SealedMessage, _ source: any StoredObject, _ key: BackupKey) throws(BackupError) {
        if let record = expected.record, record.length != source.length {
            throw BackupError(.corrupt, "\(source.length) bytes long where \(record.length) were sealed")
        }
        (self.expected, self.source) = (expected, source)
        let (header, length) = try Self.readHeader(from: source)
        guard header.frameLength == expected.frameLength else {
            throw BackupError(
                .corrupt, "frames of \(header.frameLength) bytes where \(expected.frameLength) were sealed")
        }
        message = try MessageKey.open(header, expecting: expected.context, backupKey: key)
        self.length = Int64(length)
    }

    /// Grows the header by what it still lacks.
    static func readHeader(from source: any ByteSource) throws(BackupError) -> (header: MessageHeader, length: Int) {
        var bytes: [UInt8] = []
        while true {
            do throws(MalformedMessage) {
                return try MessageHeader.parse(bytes)
            } catch {
                guard error.missing > 0, bytes.count + error.missing <= MessageHeader.byteLimit else {
                    throw BackupError(error, in: "header")
                }
                let more = try read(error.missing, from: source)
                guard more.count == error.missing else { throw BackupError(error, in: "header") }
                bytes += more
            }
        }
    }

    func takeFrame(into slot: OpeningSlot) throws(BackupError) {
        let frame = try readPrefix()
        if case .refuse(let reason) = order.framePrefixRead(sequence: frame.sequence, isFinal: frame.isFinal) {
            throw BackupError(.corrupt, reason)
        }
        tags.update(try slot.fill(frame, of: message, from: source))
        frames += 1
        plaintextLength += Int64(frame.length)
        length += Int64(frame.encodedLength)
        isFinalRead = frame.isFinal
    }

    /// After a frame: whether the message is over. If so, all of it must be as the manifest says.
    func hasEnded() throws(BackupError) -> Bool {
        guard isFinalRead else { return false }
        let isAtEnd = try Self.read(1, from: source).isEmpty
        if case .refuse(let reason) = isAtEnd ? order.inputEnded() : order.excessRead() {
            throw BackupError(.corrupt, reason)
        }
        guard let record = expected.record else { return true }
        guard record.frames == frames, record.plaintextLength == plaintextLength, record.length == length,
            record.tagsSHA256 == hexadecimal(tags.finish())
        else { throw BackupError(.corrupt, "another message than the manifest says") }
        return true
    }

    private func readPrefix() throws(BackupError) -> Frame {
        var prefix = try Self.read(4, from: source)
        if prefix.isEmpty, case .refuse(let reason) = order.inputEnded() { throw BackupError(.corrupt, reason) }
        let isFinal = prefix == bigEndian(Frame.finalMark)
        let rest = (isFinal ? Frame.finalPrefixLength : Frame.regularPrefixLength) - prefix.count
        prefix += try Self.read(rest, from: source)
        do throws(MalformedMessage) {
            return try Frame.parse(prefix: prefix, frameLength: expected.frameLength)
        } catch {
            throw BackupError(error, in: "frame \(frames + 1)")
        }
    }

    /// So many bytes, or as many as there are.
    private static func read(_ count: Int, from source: any ByteSource) throws(BackupError) -> [UInt8] {
        let buffer = LaneBuffer(capacity: count)
        while buffer.freeCount > 0 {
            if try source.read(into: buffer) == 0 { break }
        }
        return buffer.bytes()
    }
}
