import IO
import OpenSSL

/// Makes the load: all connections of an order, on one lane. The same for each subject.
actor LoadClient: LaneResident {
    nonisolated let lane: Lane
    nonisolated let progress: LoadProgress
    let poller: Poller
    private let floor: LoadFloor

    init(label: String = "load") {
        let lane = Lane(label: label)
        let progress = LoadProgress()
        self.lane = lane
        self.progress = progress
        let poller = Poller(lane: lane)
        self.poller = poller
        floor = LoadFloor(poller, progress)
    }

    nonisolated func start() { lane.start(self) }

    /// Adds the order's connections to those that are there.
    func begin(_ order: LoadOrder) { floor.begin(order) }

    /// Ends all connections, in order where the script allows; `progress.open` tells when they are gone.
    func end() { floor.end() }

    /// When the subject ended connections that awaited it, since the last time.
    func takeEndings() -> [ContinuousClock.Instant] { floor.takeEndings() }

    /// Nanoseconds of each operation since the last time.
    func takeLatencies() -> [UInt32] { floor.takeLatencies() }
}

/// What the connections of the load share. Owned by `LoadClient`.
final class LoadFloor {
    let poller: Poller
    let progress: LoadProgress
    let transport = TLSTransport(cipherIn: LaneBuffer(capacity: 32 << 10), cipherOut: LaneBuffer(capacity: 32 << 10))
    let plain = LaneBuffer(capacity: 512 << 10)
    private(set) var isEnding = false
    private var order: LoadOrder?
    private var unstarted = 0
    private var startedCount = 0
    private var live: [ObjectIdentifier: LoadConnection] = [:]
    private var latencies: [UInt32] = []
    private var endings: [ContinuousClock.Instant] = []

    /// More than a window brings; those after it are not recorded.
    private static let latencyLimit = 4 << 20

    init(_ poller: Poller, _ progress: LoadProgress) {
        self.poller = poller
        self.progress = progress
    }

    func begin(_ order: LoadOrder) {
        self.order = order
        isEnding = false
        unstarted = order.total
        for _ in 0..<min(order.width, order.total) { startNext() }
    }

    func end() {
        isEnding = true
        for connection in Array(live.values) { connection.endEarly() }
    }

    func startNext() {
        guard !isEnding, unstarted > 0, let order else { return }
        unstarted -= 1
        let context = order.contexts.isEmpty ? nil : order.contexts[startedCount % order.contexts.count]
        startedCount += 1
        let connection = LoadConnection(order, context, self)
        live[ObjectIdentifier(connection)] = connection
        progress.open.add(1)
        connection.start()
    }

    /// A failed one has no successor: the measurement is void, and a subject that refuses all would keep us here.
    func ended(_ connection: LoadConnection, failure: String?) {
        guard live.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        progress.open.add(-1)
        if let failure { progress.failed(failure) } else { startNext() }
    }

    func completed(since start: ContinuousClock.Instant) {
        progress.operations.add(1)
        guard latencies.count < Self.latencyLimit else { return }
        let time = ContinuousClock.now - start
        latencies.append(UInt32(clamping: time.components.attoseconds / 1_000_000_000))
    }

    func endedBySubject() {
        progress.ended.add(1)
        endings.append(.now)
    }

    func takeEndings() -> [ContinuousClock.Instant] {
        defer { endings = [] }
        return endings
    }

    func takeLatencies() -> [UInt32] {
        let taken = latencies
        latencies = []
        latencies.reserveCapacity(taken.count * 2)
        return taken
    }
}
