import Synchronization

/// Every lane and serial queue of the process, from its making to its end, in the order in which they were made: none
/// can be left out of the watchdog's count or the status, however short it lives.
///
/// Keeps none of them alive.
package enum Heartbeats {
    private struct Entry {
        let number: UInt64
        weak var heartbeat: (any Heartbeat)?
    }

    private struct Roll {
        var entries: [ObjectIdentifier: Entry] = [:]
        var nextNumber: UInt64 = 0
    }

    private static let roll = Mutex(Roll())

    /// By each lane and queue at the end of its `init`.
    static func enrol(_ heartbeat: some Heartbeat) {
        roll.withLock { roll in
            roll.entries[ObjectIdentifier(heartbeat)] = Entry(number: roll.nextNumber, heartbeat: heartbeat)
            roll.nextNumber += 1
        }
    }

    /// By its `deinit`.
    static func strike(_ heartbeat: ObjectIdentifier) {
        roll.withLock { _ = $0.entries.removeValue(forKey: heartbeat) }
    }

    package static var all: [any Heartbeat] {
        let entries = roll.withLock { Array($0.entries.values) }
        return entries.sorted { $0.number < $1.number }.compactMap(\.heartbeat)
    }

    /// Asks each for a sign of life.
    package static func beat() { for heartbeat in all { heartbeat.beat() } }
}
