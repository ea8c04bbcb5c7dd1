import IO
import Synchronization

/// A handshake lane's actor: accepts clients, hears what they say before they are proven, and hands the proven ones
/// to a data lane.
actor Handshakes: LaneResident {
    nonisolated let lane: Lane
    /// Connections on this lane, for whoever looks for the least busy one.
    nonisolated let load = Atomic<Int>(0)
    let poller: Poller
    let floor: HandshakeFloor
    /// The number of the listener that has this lane to itself; nil: it is for all that have none.
    nonisolated let owner: Int?

    /// Handshakes come in records of 16 KiB at most, and answers are short.
    private static let pieceLimit = 64 << 10

    init(lane: Lane, house: ProxyHouse, owner: Int? = nil) {
        self.lane = lane
        self.owner = owner
        poller = Poller(lane: lane)
        floor = HandshakeFloor(LaneGround(poller: poller, pieceLimit: Self.pieceLimit), house)
    }

    /// Once, before anything else.
    func begin(_ lanes: [Handshakes]) { floor.begin(on: self, among: lanes) }

    func closePorts() { floor.closePorts() }
}
