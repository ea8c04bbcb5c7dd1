/// How a stream is divided: plaintext into frames, frames into volumes.
package struct StreamLayout: Equatable, Sendable {
    /// What a reader of streams works with. A frame is the unit that memory and the damage of one flipped bit go by.
    package static let frameLengths = 64...(16 << 20)
    static let standardFrameLength = 1 << 20
    /// Go's SDK encrypts at most this much in one message, and some hold a whole message in memory.
    static let volumeLimit = 1 << 30

    package let frameLength: Int
    package let framesPerVolume: Int

    package static let standard = StreamLayout(
        frameLength: standardFrameLength, framesPerVolume: volumeLimit / standardFrameLength)

    package init(frameLength: Int, framesPerVolume: Int) {
        precondition(Self.frameLengths.contains(frameLength))
        precondition(framesPerVolume >= 1 && framesPerVolume <= Self.volumeLimit / frameLength)
        self.frameLength = frameLength
        self.framesPerVolume = framesPerVolume
    }

    /// The stored length of a message that holds so much plaintext in so many frames.
    static func encodedLength(header: Int, plaintext: Int64, frames: Int) -> Int64 {
        let perFrame = Int64(Frame.regularPrefixLength + Frame.tagLength)
        let finalExtra = Int64(Frame.finalPrefixLength - Frame.regularPrefixLength)
        return Int64(header) + plaintext + Int64(frames) * perFrame + finalExtra
    }
}
