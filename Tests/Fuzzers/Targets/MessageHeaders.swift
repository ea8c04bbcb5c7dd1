@testable import Backups

extension FuzzTarget {
    /// A header is read as it would be written, asks only for bytes that it lacks, and for no more than it has.
    static let messageHeader = FuzzTarget("message-header") {
        let sample = try SealedSample.shared.get()
        let frames = [Frame(sequence: 1, isFinal: false, length: 64), Frame(sequence: 2, isFinal: true, length: 3)]
        return [Array(sample.sealed.prefix(sample.headerLength)), sample.sealed] + frames.map(\.prefix)
    } check: { input in
        if let frame = try? Frame.parse(prefix: input, frameLength: 64) {
            try promise(frame.prefix == input, "a frame's prefix that would be written otherwise")
            try promise(frame.length <= 64, "a frame of \(frame.length) bytes")
        }
        try checkHeader(input)
    }

    private static func checkHeader(_ input: [UInt8]) throws(BrokenPromise) {
        switch parse(input) {
        case .success(let found):
            let (header, length) = (found.header, found.length)
            try promise(header.encoded == Array(input.prefix(length)), "a header that would be written otherwise")
            try promise(length <= MessageHeader.byteLimit, "a header of \(length) bytes")
            try promise(EncryptionContext(header.context.pairs) == header.context, "a context that is not canonical")
            for count in stride(from: 0, to: length, by: max(1, length / 64)) {
                try checkPart(Array(input.prefix(count)), of: length)
            }
        case .failure(let error):
            guard error.missing > 0 else { return }
            for count in stride(from: 0, to: input.count, by: max(1, input.count / 64)) {
                try checkPart(Array(input.prefix(count)), of: input.count + error.missing)
            }
        }
    }

    private static func parse(
        _ bytes: [UInt8]
    ) -> Result<(header: MessageHeader, length: Int), MalformedMessage> {
        Result { () throws(MalformedMessage) in try MessageHeader.parse(bytes) }
    }

    private static func checkPart(_ part: [UInt8], of length: Int) throws(BrokenPromise) {
        guard case .failure(let error) = parse(part) else {
            throw BrokenPromise(description: "\(part.count) bytes of \(length) are taken for a header")
        }
        try promise((1...(length - part.count)).contains(error.missing), "\(part.count) of \(length): \(error.missing)")
    }
}
