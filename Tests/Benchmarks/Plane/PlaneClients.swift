import IO
import OpenSSL

/// Many nodes at one plane, on one lane.
actor PlaneClients: LaneResident {
    nonisolated let lane: Lane
    nonisolated let progress: LoadProgress
    let poller: Poller
    private let floor: PlaneFloor

    init(_ address: SocketAddress) {
        let lane = Lane(label: "nodes")
        let poller = Poller(lane: lane)
        let progress = LoadProgress()
        self.lane = lane
        self.poller = poller
        self.progress = progress
        floor = PlaneFloor(poller, progress, address)
    }

    nonisolated func start() { lane.start(self) }

    /// `width`: so many on their way at a time; who waits for news is not on its way any more.
    func begin(_ calls: [PlaneCall], width: Int) { floor.begin(calls, width: width) }

    /// Ends all connections.
    func end() { floor.end() }

    /// Of calls that were to be made once: the number of each, and the answer.
    func takeAnswers() -> [(number: Int, answer: PlaneAnswer)] { floor.takeAnswers() }

    /// When news came to nodes that waited, since the last time.
    func takeNews() -> [ContinuousClock.Instant] { floor.takeNews() }
}

/// What the connections of `PlaneClients` share.
final class PlaneFloor {
    let poller: Poller
    let progress: LoadProgress
    let address: SocketAddress
    let transport = TLSTransport(cipherIn: LaneBuffer(capacity: 32 << 10), cipherOut: LaneBuffer(capacity: 32 << 10))
    let plain = LaneBuffer(capacity: 64 << 10)
    private var waiting: ArraySlice<PlaneCall> = []
    private var live: [Int: PlaneConnection] = [:]
    private var answers: [(number: Int, answer: PlaneAnswer)] = []
    private var news: [ContinuousClock.Instant] = []

    init(_ poller: Poller, _ progress: LoadProgress, _ address: SocketAddress) {
        self.poller = poller
        self.progress = progress
        self.address = address
    }

    func begin(_ calls: [PlaneCall], width: Int) {
        waiting = calls[...]
        for _ in 0..<width { startNext() }
    }

    func startNext() {
        guard let call = waiting.popFirst() else { return }
        let connection = PlaneConnection(call, self)
        live[call.number] = connection
        connection.start()
    }

    func end() {
        waiting = []
        for connection in Array(live.values) { connection.abort() }
    }

    func answered(_ number: Int, _ answer: PlaneAnswer) {
        answers.append((number, answer))
        progress.operations.add(1)
        startNext()
    }

    /// It has asked for the first time what it has to wait for.
    func waits() {
        progress.open.add(1)
        startNext()
    }

    func heard() {
        news.append(.now)
        progress.ended.add(1)
    }

    func ended(_ number: Int, wasWaiting: Bool, failure: String?) {
        guard live.removeValue(forKey: number) != nil else { return }
        if wasWaiting { progress.open.add(-1) }
        if let failure { progress.failed(failure) }
    }

    func takeAnswers() -> [(number: Int, answer: PlaneAnswer)] {
        defer { answers = [] }
        return answers
    }

    func takeNews() -> [ContinuousClock.Instant] {
        defer { news = [] }
        return news
    }
}
