import Glibc
import IO
import OpenSSL
import Reports
import Synchronization

/// Why the proxy cannot start.
package struct ProxyError: Error, Sendable, CustomStringConvertible {
    package let description: String
}

/// The proxy job: terminates mutual TLS before each database port, begins it at each tunnel's, and lets no byte through
/// before the peer is verified and, where it is a client, allowed. Safe from any thread.
package final class DatabaseProxy: Sendable {
    struct Credentials {
        private(set) var identities: [String: TLSIdentity] = [:]
        private(set) var trust: TrustAnchors?
        private(set) var revocation: ClusterRevocation?
        /// Of identities, trust and revocation lists: what was tested beside others is not put beside these.
        private(set) var revision: UInt64 = 0
        var isDraining = false

        mutating func put(_ new: [String: TLSIdentity]) {
            identities.merge(new) { $1 }
            revision += 1
        }

        mutating func listsChanged() { revision += 1 }

        mutating func put(_ new: ClusterRevocation) {
            revocation = new
            revision += 1
        }

        mutating func put(_ new: TrustAnchors) {
            trust = new
            revision += 1
        }
    }

    let configuration: ProxyConfiguration
    /// How many the process may have; nil: without limit.
    let descriptors = DescriptorLimit.current
    let listeners: [ListenerState]
    let house: ProxyHouse
    let handshakes: [Handshakes]
    let relays: [Relay]
    let health: HealthBoard
    private let emptied = Alarm(label: "proxy-drain")
    let credentials = Mutex(Credentials())
    let reloads: (good: Counter, bad: Counter)
    let files: RevocationFiles
    /// nil: there are no such files.
    let fileQueue: SerialQueue?
    let isLooking = Atomic(false)
    /// nil: nobody asks.
    let exposureQueue: SerialQueue?
    let revocationReports: RevocationReports
    let authorityReports: AuthorityReports
    /// nil: there are none of version 2.
    let controlGroup = ControlGroup()
    private let keeper: PortKeeper

    /// `keeper`: holds the ports while the process is restarted. `isAudited`: asked for each new connection; false:
    /// what it does could not be told, and it is refused.
    package init(
        _ configuration: ProxyConfiguration, metrics: Metrics, health: HealthBoard, audit: AuditReporter,
        keeper: PortKeeper = .none, isAudited: @escaping @Sendable () -> Bool = { true }
    ) {
        self.keeper = keeper
        self.configuration = configuration
        self.health = health
        listeners = configuration.listeners.enumerated().map {
            ListenerState($1, number: $0, denied: configuration.denied, metrics: metrics)
        }
        let limits = descriptors.map(configuration.limits.fitting) ?? configuration.limits
        let house = ProxyHouse(
            admission: Admission(
                limits: limits, listeners: configuration.listeners, descriptors: descriptors, emptied: emptied),
            reports: ProxyReports(audit: audit), listenerNames: listeners.map(\.name), isAudited: isAudited)
        self.house = house
        let dataLanes = max(1, configuration.dataLanes ?? Self.processorCount)
        let handshakeLanes = max(1, configuration.handshakeLanes ?? Self.processorCount / 2)
        let stalledMemory = configuration.limits.stalledMemory / dataLanes
        relays = (0..<dataLanes).map {
            Relay(lane: Lane(label: "relay-\($0)"), house: house, stalledMemory: stalledMemory)
        }
        let common = (0..<handshakeLanes).map {
            Handshakes(lane: Lane(label: "handshakes-\($0)", priority: .low), house: house)
        }
        let own = listeners.filter(\.configuration.hasTokenKey).map {
            Handshakes(
                lane: Lane(label: "handshakes-of-\($0.name)", priority: .low), house: house, owner: $0.number)
        }
        // Those of all come first: they have the ports and the clocks.
        handshakes = common + own
        reloads = (
            metrics.counter("nodeguard_proxy_reloads", "New certificates and trust", labels: [("result", "adopted")]),
            metrics.counter("nodeguard_proxy_reloads", "New certificates and trust", labels: [("result", "refused")])
        )
        files = RevocationFiles(configuration.listeners)
        fileQueue = files.isEmpty ? nil : SerialQueue(label: "revocation", isPatient: true)
        exposureQueue = configuration.exposure == .off ? nil : SerialQueue(label: "exposure", isPatient: true)
        revocationReports = RevocationReports(metrics: metrics, health: health, audit: audit)
        authorityReports = AuthorityReports(health: health)
        registerGauges(metrics)
    }

    // MARK: life

    /// Binds every port, or none. Clients are refused until an identity and trust were published.
    package func start() throws(ProxyError) {
        let mistakes = configuration.listeners.flatMap(\.mistakes)
        if !mistakes.isEmpty { throw ProxyError(description: mistakes.joined(separator: "; ")) }
        if let one = listeners.first(where: \.configuration.isTransparent),
            let error = StreamSocket.refusalOfTransparency()
        {
            throw ProxyError(
                description: "listener \(one.name): backend-source transparent: \(error); it needs CAP_NET_ADMIN "
                    + "(AmbientCapabilities= and CapabilityBoundingSet= of the unit)")
        }
        try loadFiles()
        let ports = try bindAll()
        lookAtExposure(before: ports.map(\.1.address))
        house.begin(relays)
        for relay in relays {
            relay.lane.start(relay)
            relay.submit { $0.begin() }
        }
        for lane in handshakes {
            lane.lane.start(lane)
            lane.submit { [handshakes] in $0.begin(handshakes) }
        }
        open(ports)
        reportScarcity(beside: configuration.limits)
        reportAlgorithms()
        let tick: @Sendable () -> Void = { [weak self] in self?.tick() }
        handshakes.first?.submit { $0.floor.tick(every: .seconds(1), tick) }
        watchFiles()
        watchExposure()
    }

    private func bindAll() throws(ProxyError) -> [(ListenerState, OpenPort)] {
        var ports: [(ListenerState, OpenPort)] = []
        for listener in listeners {
            for address in listener.configuration.listen {
                do throws(IOError) {
                    ports.append((listener, OpenPort(try port(of: listener, at: address))))
                } catch {
                    throw ProxyError(description: "\(listener.subject): \(error)")
                }
            }
        }
        keeper.forgetRest()
        for (listener, port) in ports { keeper.keep(listener.name, port.socket.rawValue) }
        return ports
    }

    private func port(of listener: ListenerState, at address: SocketAddress) throws(IOError) -> ListeningSocket {
        let tunnel = listener.configuration.tunnel
        guard let kept = keeper.take(listener.name, address) else {
            let new = try ListeningSocket(address, mode: tunnel?.socketMode)
            try tunnel?.giveToGroup(address)
            return new
        }
        try tunnel?.renewGroup(address)
        if let tunnel, tunnel.isOtherMode(of: address) { try kept.setMode(tunnel.socketMode) }
        return kept
    }

    private func open(_ ports: [(ListenerState, OpenPort)]) {
        for listener in listeners {
            let addresses = ports.filter { $0.0 === listener }.map { $0.1.address }
            listener.bound(addresses)
            house.reports.opened(listener, addresses)
        }
        for (index, (listener, port)) in ports.enumerated() {
            let common = handshakes.count { $0.owner == nil }
            handshakes[index % common].submit { lane in
                // A lane that cannot watch a socket has no descriptors left: the port is closed, the status says so.
                do throws(IOError) { try lane.floor.open(port, listener) } catch { listener.bound([]) }
            }
        }
        publishStatus()
    }

    /// Closes the ports; live connections go on. The ports are closed when it returns, but for those who wait at them
    /// until a restart is over.
    package func beginDrain(beforeRestart: Bool = false) async {
        if !beforeRestart { for listener in listeners { keeper.forget(listener.name) } }
        credentials.withLock { $0.isDraining = true }
        for listener in listeners { listener.bound([]) }
        for lane in handshakes { await lane.closePorts() }
        publishStatus()
    }

    /// Closes the ports and lets live connections end until the deadline.
    ///
    /// Those that are left when only `spread` remains until then are ended one after the other, those between two
    /// messages first, so that not all of their clients come back to the cluster at once; the rest at the deadline.
    package func drain(deadline: Duration, spread: Duration = .zero) async {
        await beginDrain(beforeRestart: true)
        let end = ContinuousClock.now + deadline
        for turn in 0..<Int(spread / Self.drainTurn) {
            let remaining = spread - Self.drainTurn * turn
            guard await stayOpen(until: end - remaining) else { break }
            let turns = Int(remaining / Self.drainTurn)
            for relay in relays { relay.submit { $0.floor.abandonShare(of: turns) } }
        }
        _ = await stayOpen(until: end)
        abandonAll()
        publishStatus()
    }

    private static let drainTurn = Duration.milliseconds(100)

    /// False as soon as there is no connection, or nobody waits any more.
    private func stayOpen(until end: ContinuousClock.Instant) async -> Bool {
        while openCount > 0, ContinuousClock.now < end {
            if await emptied.wait(for: end - ContinuousClock.now) == .cancelled { return false }
        }
        return openCount > 0
    }

    /// Opens the ports again.
    package func undrain() throws(ProxyError) {
        guard credentials.withLock({ $0.isDraining }) else { return }
        let ports = try bindAll()
        credentials.withLock { $0.isDraining = false }
        open(ports)
    }

    /// Ends everything and every lane.
    package func stop() async {
        for lane in handshakes { lane.submit { $0.floor.stop() } }
        for relay in relays { relay.submit { $0.floor.abandonAll() } }
        for lane in handshakes { await lane.lane.stop() }
        // A handshake may have been handed over meanwhile.
        for relay in relays { relay.submit { $0.floor.abandonAll() } }
        house.begin([])
        for relay in relays { await relay.lane.stop() }
        house.reports.end(listeners)
    }

    private func abandonAll() {
        for lane in handshakes { lane.submit { $0.floor.abandonAll() } }
        for relay in relays { relay.submit { $0.floor.abandonAll() } }
    }

    // MARK: live connections

    /// In the order of their numbers; at most `limit` of those after one.
    package func connections(after number: UInt64 = 0, limit: Int = .max) async -> [ConnectionSummary] {
        var all: [ConnectionSummary] = []
        for relay in relays { all += await relay.connections(after: number, limit: limit) }
        return Array(all.sorted { $0.id < $1.id }.prefix(limit))
    }

    /// Cuts one connection; false if there is none of that number.
    package func kill(_ id: UInt64) async -> Bool {
        for relay in relays where await relay.kill(id) { return true }
        return false
    }

    /// Where a listener is bound, with real ports.
    package func addresses(ofListener name: String) -> [SocketAddress] {
        listeners.first { $0.name == name }?.addresses ?? []
    }

    private static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    private var openCount: Int { house.admission.authenticatedCount + house.admission.unauthenticatedCount }
}
