import IO
import OpenSSL
import Synchronization

/// One sealed message as a reader expects it.
struct SealedMessage: Sendable {
    let object: BackupObject
    let context: EncryptionContext
    let frameLength: Int
    /// What the sealed manifest says of it; nothing for the manifest itself.
    let record: VolumeRecord?
}

/// Opens messages in order and releases their plaintext, frame by frame, only once it is proved. Strict where others
/// are lenient: every cut, swap, repetition, change or trailing byte is an error, and nothing is released after it.
final class StreamOpener: FrameStages {
    private let messages: [SealedMessage]
    private let frameLength: Int
    private let key: BackupKey
    private let target: any BackupTarget
    private let sink: any ByteSink
    private let watch: StreamWatch
    private let intake = Mutex(Intake())
    private let released = Mutex<Int64>(0)

    /// `messages` share one frame length.
    init(
        _ messages: [SealedMessage], key: BackupKey, from target: any BackupTarget, to sink: any ByteSink,
        watch: StreamWatch
    ) {
        (self.messages, self.key, self.target, self.sink, self.watch) = (messages, key, target, sink, watch)
        frameLength = messages.first?.frameLength ?? StreamLayout.standardFrameLength
        precondition(messages.allSatisfy { $0.frameLength == frameLength })
    }

    /// Returns how many bytes of plaintext were released.
    func run(width: Int) throws(BackupError) -> Int64 {
        try FramePipeline(stages: self, width: width).run()
        return released.withLock { $0 }
    }

    func makeSlot() -> OpeningSlot { OpeningSlot(frameLength: frameLength) }

    func takeIn(_ slot: OpeningSlot) throws(BackupError) -> Bool {
        try watch.check()
        return try intake.withLock { intake throws(BackupError) in
            if intake.current == nil {
                guard intake.next < messages.count else { return false }
                try begin(messages[intake.next], &intake)
            }
            guard let message = intake.current else { return false }
            do throws(BackupError) {
                try message.takeFrame(into: slot)
                if try message.hasEnded() {
                    intake.stored += message.length
                    intake.current = nil
                }
            } catch { throw error.adding(message.expected.object.description) }
            watch.stored(intake.stored + (intake.current?.length ?? 0))
            return true
        }
    }

    func transform(_ slot: OpeningSlot) { slot.open() }

    func putOut(_ slot: OpeningSlot) throws(BackupError) {
        try watch.check()
        let length = try slot.release(to: sink)
        released.withLock { $0 += Int64(length) }
        watch.took(length)
    }

    func turnEnded() { watch.turnEnded() }

    private func begin(_ message: SealedMessage, _ intake: inout Intake) throws(BackupError) {
        intake.next += 1
        let source = try target.openObject(message.object)
        do throws(BackupError) {
            intake.current = try MessageReader(message, source, key)
        } catch { throw error.adding(message.object.description) }
    }

    private struct Intake {
        var next = 0
        var current: MessageReader?
        var stored: Int64 = 0
    }
}
