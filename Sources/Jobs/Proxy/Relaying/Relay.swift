import IO
import Synchronization

/// What others may ask about a data lane at any time.
final class RelayFigures: Sendable {
    private let open = Atomic<Int>(0)
    private let pinned = Atomic<Int>(0)
    private let expiry = Atomic<Int64>(.max)

    var openCount: Int { open.load(ordering: .relaxed) }
    /// Bytes that slow readers keep in memory.
    var pinnedBytes: Int { pinned.load(ordering: .relaxed) }

    /// When the next certificate of a live connection ends, in seconds since 1970, or before.
    var earliestExpiry: Int64 { expiry.load(ordering: .relaxed) }

    /// By the lane alone.
    func expires(at moment: Int64) { expiry.store(moment, ordering: .relaxed) }

    func opened() { open.wrappingAdd(1, ordering: .relaxed) }
    func closed() { open.wrappingSubtract(1, ordering: .relaxed) }
    func pin(_ change: Int) { if change != 0 { pinned.wrappingAdd(change, ordering: .relaxed) } }
}

/// A data lane's actor: relays the bytes of authorized connections, each of which stays here for life.
actor Relay: LaneResident {
    nonisolated let lane: Lane
    nonisolated let figures = RelayFigures()
    let poller: Poller
    let floor: RelayFloor

    /// Larger pieces win: more than half of the cost is the kernel's and goes by the call, not by the byte.
    private static let pieceLimit = 512 << 10

    init(lane: Lane, house: ProxyHouse, stalledMemory: Int) {
        self.lane = lane
        poller = Poller(lane: lane)
        floor = RelayFloor(
            LaneGround(poller: poller, pieceLimit: Self.pieceLimit), house, figures, stalledMemory: stalledMemory)
    }

    /// Once, before anything else.
    func begin() { floor.begin(on: self) }

    func connections(after number: UInt64, limit: Int) -> [ConnectionSummary] {
        floor.connections(after: number, limit: limit)
    }

    /// Returns when the connections of this lane have been judged under what is in effect.
    func reviewed() async { await withCheckedContinuation { floor.whenReviewed($0) } }

    func kill(_ id: UInt64) -> Bool { floor.kill(id) }
}
