import IO
import OpenSSL
import Synchronization

/// What sealing a stream came to.
package struct SealedStream: Sendable {
    var volumes: [VolumeRecord] = []
    package var plaintextLength: Int64 { volumes.map(\.plaintextLength).reduce(0, +) }
    var ciphertextLength: Int64 { volumes.map(\.length).reduce(0, +) }
    var frames: Int { volumes.map(\.frames).reduce(0, +) }
}

/// Reads a source to its end and stores it sealed, volume by volume, each under a data key of its own. Blocks the queue
/// that runs it.
package final class StreamSealer: FrameStages {
    private let identity: BackupIdentity
    private let key: BackupKey
    private let layout: StreamLayout
    private let source: any ByteSource
    private let target: any BackupTarget
    private let kind: MessageKind
    private let watch: StreamWatch
    private let intake: Mutex<Intake>
    private let output: Mutex<Output>

    /// `kind` decides which objects are written: numbered volumes of data, or the manifest.
    package init(
        _ kind: MessageKind, of identity: BackupIdentity, key: BackupKey, layout: StreamLayout,
        from source: any ByteSource, to target: any BackupTarget, watch: StreamWatch
    ) {
        (self.kind, self.identity, self.key, self.layout) = (kind, identity, key, layout)
        (self.source, self.target, self.watch) = (source, target, watch)
        intake = Mutex(Intake(frameLength: layout.frameLength))
        output = Mutex(Output())
    }

    /// Seals everything. A source without a byte leaves nothing, unless `allowsEmpty`: then one empty frame.
    package func run(width: Int, allowsEmpty: Bool = false) throws(BackupError) -> SealedStream {
        intake.withLock { $0.allowsEmpty = allowsEmpty }
        do throws(BackupError) {
            try FramePipeline(stages: self, width: width).run()
        } catch {
            output.withLock { $0.writer?.abandon() }
            throw error
        }
        let sealed = output.withLock { $0.sealed }
        let taken = intake.withLock { $0.byteCount }
        // Counted where bytes come in, where they are sealed and where they are stored.
        guard taken == sealed.plaintextLength, output.withLock({ $0.writer == nil }) else {
            throw BackupError(.internalFault, "\(taken) bytes came in and \(sealed.plaintextLength) were sealed")
        }
        return sealed
    }

    func makeSlot() -> SealingSlot { SealingSlot(frameLength: layout.frameLength) }

    func takeIn(_ slot: SealingSlot) throws(BackupError) -> Bool {
        try watch.check()
        return try intake.withLock { intake throws(BackupError) in
            guard let length = try intake.fill(slot, from: source) else { return false }
            watch.took(length)
            slot.assign(
                try intake.nextPlace(in: layout) { number throws(BackupError) in
                    try MessageKey.create(
                        context: context(of: number), backupKey: key, frameLength: layout.frameLength)
                })
            return true
        }
    }

    func transform(_ slot: SealingSlot) { slot.seal() }

    func putOut(_ slot: SealingSlot) throws(BackupError) {
        guard let place = slot.place else { return }
        try watch.check()
        try output.withLock { output throws(BackupError) in
            if place.sequence == 1 {
                try output.begin(place.message, in: target.makeObject(object(place.volume)))
            }
            try output.store(slot)
            if place.isFinal { try output.complete(volume: place.volume) }
            watch.stored(output.sealed.ciphertextLength + output.openLength)
        }
    }

    func turnEnded() { watch.turnEnded() }

    private func object(_ volume: Int) -> BackupObject { identity.object(kind == .data ? .volume(volume) : .manifest) }

    private func context(of volume: Int) -> EncryptionContext { identity.context(kind, volume: volume, key: key) }
}

/// Takes bytes in and says where each frame stands. A full frame is held back until the byte after it, or the end, is
/// there: only then is it known whether it is the last, and each number is sealed once.
private struct Intake {
    var allowsEmpty = false
    private(set) var byteCount: Int64 = 0
    private var hasEnded = false
    private var ahead: [UInt8] = []
    private let aheadBuffer: LaneBuffer
    private var volume = -1
    private var message: MessageKey?
    private var sequence: UInt32 = 0

    init(frameLength: Int) { aheadBuffer = LaneBuffer(capacity: min(4096, frameLength)) }

    /// How much plaintext the frame has; nothing at the end.
    mutating func fill(_ slot: SealingSlot, from source: any ByteSource) throws(BackupError) -> Int? {
        if hasEnded { return nil }
        let length = try slot.fill(with: ahead, from: source)
        ahead = []
        // The end may be asked for again: a pipe goes on saying so.
        if try source.read(into: aheadBuffer) == 0 {
            hasEnded = true
        } else {
            ahead = aheadBuffer.bytes()
            aheadBuffer.removeAll()
        }
        if length == 0, volume >= 0 || !allowsEmpty { return nil }
        byteCount += Int64(length)
        return length
    }

    mutating func nextPlace(
        in layout: StreamLayout, startMessage: (Int) throws(BackupError) -> MessageKey
    ) throws(BackupError) -> FramePlace {
        let current: MessageKey
        if let message {
            current = message
        } else {
            volume += 1
            sequence = 0
            current = try startMessage(volume)
        }
        sequence += 1
        let isFinal = hasEnded || sequence == UInt32(layout.framesPerVolume)
        message = isFinal ? nil : current
        return FramePlace(message: current, volume: volume, sequence: sequence, isFinal: isFinal)
    }
}

/// The volume that is being stored, and those that are.
private struct Output {
    private(set) var sealed = SealedStream()
    private(set) var writer: (any SealedObjectWriter)?
    private(set) var openLength: Int64 = 0
    private let header = FrameSealer(frameLength: 0)
    private var headerLength = 0
    private var plaintextLength: Int64 = 0
    private var frames = 0
    private var crc32c: UInt32 = 0
    private let tags = Digest.SHA256()

    mutating func begin(_ message: MessageKey, in writer: any SealedObjectWriter) throws(BackupError) {
        self.writer = writer
        (plaintextLength, frames) = (0, 0)
        header.putHeader(of: message)
        headerLength = header.part.count
        openLength = Int64(headerLength)
        crc32c = header.part.crc32c
        try writer.append(header.part)
    }

    mutating func store(_ slot: SealingSlot) throws(BackupError) {
        guard let writer else { return }
        let stored = try slot.store(in: writer)
        crc32c = combinedCRC32C(crc32c, stored.crc32c, secondLength: stored.length)
        tags.update(stored.tag)
        frames += 1
        plaintextLength += Int64(stored.plaintextLength)
        openLength += Int64(stored.length)
    }

    mutating func complete(volume: Int) throws(BackupError) {
        let expected = StreamLayout.encodedLength(header: headerLength, plaintext: plaintextLength, frames: frames)
        guard openLength == expected else {
            throw BackupError(
                .internalFault, "volume \(volume) has \(openLength) bytes where \(expected) were expected")
        }
        try writer?.complete()
        sealed.volumes.append(
            VolumeRecord(
                number: volume, length: openLength, plaintextLength: plaintextLength, frames: frames,
                crc32c: hexadecimal(bigEndian(crc32c)), tagsSHA256: hexadecimal(tags.finish())))
        writer = nil
        openLength = 0
    }
}
