package struct TimerToken: Hashable, Sendable {
    fileprivate let number: UInt64
}

/// The timers of one lane, earliest first. A cancelled one stays in the heap until its time comes or half of the heap
/// is cancelled: cancelling, which nearly every timer ends with, costs one set insertion.
struct TimerHeap {
    private struct Entry {
        let deadline: ContinuousClock.Instant
        let token: TimerToken
        let target: any TimerTarget
    }

    private var entries: [Entry] = []
    private var live: Set<UInt64> = []
    private var nextNumber: UInt64 = 0

    mutating func add(deadline: ContinuousClock.Instant, _ target: any TimerTarget) -> TimerToken {
        let token = TimerToken(number: nextNumber)
        nextNumber += 1
        live.insert(token.number)
        entries.append(Entry(deadline: deadline, token: token, target: target))
        siftUp(entries.count - 1)
        return token
    }

    mutating func cancel(_ token: TimerToken) {
        live.remove(token.number)
        if entries.count > 64, live.count < entries.count / 2 {
            entries.removeAll { !live.contains($0.token.number) }
            for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
        }
    }

    var earliest: ContinuousClock.Instant? { entries.first?.deadline }

    /// The next timer whose time has come and that was not cancelled.
    mutating func popDue(_ now: ContinuousClock.Instant) -> (TimerToken, any TimerTarget)? {
        while let first = entries.first, first.deadline <= now || !live.contains(first.token.number) {
            removeFirst()
            if live.remove(first.token.number) != nil { return (first.token, first.target) }
        }
        return nil
    }

    private mutating func removeFirst() {
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].deadline < entries[parent].deadline else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].deadline < entries[least].deadline { least = child }
            }
            guard least != parent else { return }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
