import Dispatch
import Synchronization

/// The three stages that each frame of a stream goes through.
protocol FrameStages: Sendable {
    associatedtype Slot: Sendable

    /// One frame's buffers.
    func makeSlot() -> Slot
    /// Fills the slot with the next frame; `false` at the end. One caller at a time, in the order of the stream.
    func takeIn(_ slot: Slot) throws(BackupError) -> Bool
    /// Any number of callers at once, each with another slot; keeps a failure in the slot.
    func transform(_ slot: Slot)
    /// One caller at a time, in the order of the stream; throws the failure that the slot keeps.
    func putOut(_ slot: Slot) throws(BackupError)
    /// Between turns, on the thread that runs the pipeline.
    func turnEnded()
}

/// Runs a stream's frames through their stages on all cores, in order and in bounded memory.
///
/// In each turn one batch is taken in, the one before it is transformed (a frame a worker) and the one before that is
/// put out. Three batches of `width` frames are all there is: a slow target stops the reading of the producer.
struct FramePipeline<Stages: FrameStages>: Sendable {
    /// The slots of one batch and how many of them hold a frame; each is touched by one stage at a time.
    private final class Batch: Sendable {
        let slots: [Stages.Slot]
        let filledCount = Atomic<Int>(0)

        init(slots: [Stages.Slot]) { self.slots = slots }
    }

    private struct Progress {
        var hasEnded = false
        var intakeFailure: BackupError?
        var outputFailure: BackupError?
    }

    /// What the stages of one turn say to the loop.
    private final class Notes: Sendable {
        let progress = Mutex(Progress())
    }

    let stages: Stages
    let width: Int

    /// Returns when all frames are put out. Frames before a failed one are put out, none after it.
    func run() throws(BackupError) {
        let notes = Notes()
        var batches = (0..<3).map { _ in Batch(slots: (0..<width).map { _ in stages.makeSlot() }) }
        while true {
            let (incoming, working, outgoing) = (batches[0], batches[1], batches[2])
            DispatchQueue.concurrentPerform(iterations: width + 2) { index in
                switch index {
                case 0: takeIn(incoming, notes)
                case 1: putOut(outgoing, notes)
                default: transform(working, index - 2)
                }
            }
            stages.turnEnded()
            let progress = notes.progress.withLock { $0 }
            if let failure = progress.outputFailure { throw failure }
            if progress.hasEnded, batches.allSatisfy({ $0.filledCount.load(ordering: .acquiring) == 0 }) {
                if let failure = progress.intakeFailure { throw failure }
                return
            }
            batches = [outgoing, incoming, working]
        }
    }

    private func takeIn(_ batch: Batch, _ notes: Notes) {
        if notes.progress.withLock({ $0.hasEnded }) { return }
        for (index, slot) in batch.slots.enumerated() {
            do throws(BackupError) {
                guard try stages.takeIn(slot) else {
                    notes.progress.withLock { $0.hasEnded = true }
                    return
                }
                batch.filledCount.store(index + 1, ordering: .releasing)
            } catch {
                notes.progress.withLock {
                    $0.hasEnded = true
                    $0.intakeFailure = error
                }
                return
            }
        }
    }

    private func transform(_ batch: Batch, _ index: Int) {
        if index < batch.filledCount.load(ordering: .acquiring) { stages.transform(batch.slots[index]) }
    }

    private func putOut(_ batch: Batch, _ notes: Notes) {
        for slot in batch.slots.prefix(batch.filledCount.load(ordering: .acquiring)) {
            do throws(BackupError) {
                try stages.putOut(slot)
            } catch {
                notes.progress.withLock { $0.outputFailure = error }
                return
            }
        }
        batch.filledCount.store(0, ordering: .releasing)
    }
}
