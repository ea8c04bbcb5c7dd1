import Glibc
import IO
import OpenSSL
import Reports
import Synchronization

/// Why the proxy cannot start.
package struct ProxyError: Error, Sendable, CustomStringConvertible {
    package let description: String
}

/// The proxy job: terminates mutual TLS before each database port, and lets no byte through before the peer is
/// verified and allowed. Safe from any thread.
package final class DatabaseProxy: Sendable {
    private struct Credentials {
        var identities: [String: TLSIdentity] = [:]
        var trust: TrustAnchors?
        var isDraining = false
    }

    private let configuration: ProxyConfiguration
    let listeners: [ListenerState]
    let house: ProxyHouse
    private let handshakes: [Handshakes]
    let relays: [Relay]
    private let health: HealthBoard
    private let emptied = Alarm(label: "proxy-drain")
    private let credentials = Mutex(Credentials())
    private let reloads: (good: Counter, bad: Counter)

    package init(_ configuration: ProxyConfiguration, metrics: Metrics, health: HealthBoard, audit: AuditReporter) {
        self.configuration = configuration
        self.health = health
        listeners = configuration.listeners.map { ListenerState($0, metrics: metrics) }
        let house = ProxyHouse(
            admission: Admission(limits: configuration.limits, emptied: emptied), reports: ProxyReports(audit: audit))
        self.house = house
        let dataLanes = max(1, configuration.dataLanes ?? Self.processorCount)
        let handshakeLanes = max(1, configuration.handshakeLanes ?? Self.processorCount / 2)
        let stalledMemory = configuration.limits.stalledMemory / dataLanes
        relays = (0..<dataLanes).map {
            Relay(lane: Lane(label: "relay-\($0)"), house: house, stalledMemory: stalledMemory)
        }
        handshakes = (0..<handshakeLanes).map {
            Handshakes(lane: Lane(label: "handshakes-\($0)", priority: .low), house: house)
        }
        reloads = (
            metrics.counter("nodeguard_proxy_reloads", "New certificates and trust", labels: [("result", "adopted")]),
            metrics.counter("nodeguard_proxy_reloads", "New certificates and trust", labels: [("result", "refused")])
        )
        registerGauges(metrics)
    }

    /// Every lane, for the watchdog and the status.
    package var heartbeats: [any Heartbeat] { relays.map(\.lane) + handshakes.map(\.lane) }

    // MARK: life

    /// Binds every port, or none. Clients are refused until an identity and trust were published.
    package func start() throws(ProxyError) {
        let mistakes = configuration.listeners.flatMap(\.mistakes)
        if !mistakes.isEmpty { throw ProxyError(description: mistakes.joined(separator: "; ")) }
        let ports = try bindAll()
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
        let tick: @Sendable () -> Void = { [weak self] in self?.tick() }
        handshakes.first?.submit { $0.floor.tick(tick) }
    }

    private func bindAll() throws(ProxyError) -> [(ListenerState, OpenPort)] {
        var ports: [(ListenerState, OpenPort)] = []
        for listener in listeners {
            for address in listener.configuration.listen {
                do throws(IOError) {
                    ports.append((listener, OpenPort(try ListeningSocket(address))))
                } catch {
                    throw ProxyError(description: "listener \(listener.name): \(error)")
                }
            }
        }
        return ports
    }

    private func open(_ ports: [(ListenerState, OpenPort)]) {
        for listener in listeners {
            let addresses = ports.filter { $0.0 === listener }.map { $0.1.address }
            listener.bound(addresses)
            house.reports.opened(listener, addresses)
        }
        for (index, (listener, port)) in ports.enumerated() {
            handshakes[index % handshakes.count].submit { lane in
                // A lane that cannot watch a socket has no descriptors left: the port is closed, the status says so.
                do throws(IOError) { try lane.floor.open(port, listener) } catch { listener.bound([]) }
            }
        }
        publishStatus()
    }

    /// Closes the ports; live connections go on. The ports are closed when it returns.
    package func beginDrain() async {
        credentials.withLock { $0.isDraining = true }
        for listener in listeners { listener.bound([]) }
        for lane in handshakes { await lane.closePorts() }
        publishStatus()
    }

    /// Closes the ports, lets live connections end until the deadline, then ends those that are left.
    package func drain(deadline: Duration) async {
        await beginDrain()
        let end = ContinuousClock.now + deadline
        while openCount > 0, ContinuousClock.now < end {
            if await emptied.wait(for: end - ContinuousClock.now) == .cancelled { break }
        }
        abandonAll()
        publishStatus()
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
    }

    private func abandonAll() {
        for lane in handshakes { lane.submit { $0.floor.abandonAll() } }
        for relay in relays { relay.submit { $0.floor.abandonAll() } }
    }

    // MARK: live connections

    package func connections() async -> [ConnectionSummary] {
        var all: [ConnectionSummary] = []
        for relay in relays { all += await relay.connections }
        return all.sorted { $0.id < $1.id }
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

// MARK: credentials

extension DatabaseProxy {
    /// New handshakes of the role's listeners use it; live connections keep what they have. An identity that fails
    /// its test is not used, and the health board says so.
    package func publish(identity: TLSIdentity, forRole role: String) {
        credentials.withLock { $0.identities[role] = identity }
        renew { $0.configuration.certificateRole == role }
    }

    package func publish(trust: TrustAnchors) {
        credentials.withLock { $0.trust = trust }
        renew { $0.configuration.trustsCluster }
    }

    private func renew(_ isConcerned: (ListenerState) -> Bool) {
        for listener in listeners where isConcerned(listener) {
            let (identity, trust) = credentials.withLock {
                ($0.identities[listener.configuration.certificateRole], $0.trust)
            }
            guard let identity else { continue }
            let subject = "listener \(listener.name)"
            do throws(OpenSSLError) {
                guard let context = try Self.context(listener.configuration, identity, trust) else { continue }
                listener.adopt(context)
                reloads.good.add()
                health.clear("LISTENER_CERTIFICATE_REFUSED", subject: subject)
            } catch {
                reloads.bad.add()
                health.raise(
                    HealthReason(
                        "LISTENER_CERTIFICATE_REFUSED", .error, subject: subject,
                        detail: "the new certificate or trust failed its test and is not used: \(error)",
                        action: "look at the certificate of role \(listener.configuration.certificateRole); "
                            + "the one before stays in use"))
            }
        }
        publishStatus()
    }

    /// nil while the trust that it needs is not there yet.
    private static func context(
        _ listener: ListenerConfiguration, _ identity: TLSIdentity, _ cluster: TrustAnchors?
    ) throws(OpenSSLError) -> TLSContext? {
        let ofCluster = listener.trustsCluster ? cluster?.certificates ?? [] : []
        if listener.trustsCluster, ofCluster.isEmpty { return nil }
        let all = ofCluster + listener.anchors.filter { !ofCluster.contains($0) }
        let trust = try TrustAnchors(all, pinsIntermediates: all.contains { !$0.isSelfSigned })
        let context = try TLSContext.server(
            identity: identity, trust: trust, minimum: listener.minimumTLS,
            applicationProtocols: listener.databaseProtocol.applicationProtocols)
        // Under the authority that came with it: whom clients are certified by may be somebody else.
        if let own = identity.chain.last(where: \.isAuthority) {
            try TLSContext.selfTest(context, trust: try TrustAnchors([own], pinsIntermediates: true))
        }
        return context
    }
}

// MARK: status

extension DatabaseProxy {
    private func tick() {
        house.reports.tick()
        publishStatus()
    }

    private func publishStatus() {
        let isDraining = credentials.withLock { $0.isDraining }
        health.publish(
            section: "proxy",
            [
                "listeners": .array(listeners.map { $0.document(isDraining: isDraining) }),
                "connections": .count(house.admission.authenticatedCount),
                "unauthenticated": .count(house.admission.unauthenticatedCount),
                "stalledBytes": .count(relays.reduce(0) { $0 + $1.figures.pinnedBytes }),
            ])
        let unbound = listeners.filter { $0.addresses.isEmpty }.map(\.name)
        health.set(
            ReadinessCondition(
                "listeners", isMet: unbound.isEmpty || isDraining,
                detail: unbound.isEmpty ? "all bound" : "not bound: \(unbound.joined(separator: ", "))"))
        for listener in listeners {
            let subject = "listener \(listener.name)"
            if listener.context != nil {
                health.clear("LISTENER_WITHOUT_CERTIFICATE", subject: subject)
            } else {
                health.raise(
                    HealthReason(
                        "LISTENER_WITHOUT_CERTIFICATE", .warn, subject: subject,
                        detail: "clients are refused: there is no certificate of role "
                            + "\(listener.configuration.certificateRole), or no trust, yet",
                        action: "wait for the first enrolment, or look at the certificates"))
            }
        }
    }

    /// The metrics outlive the proxy, and must not keep it.
    private func registerGauges(_ metrics: Metrics) {
        metrics.gauge("nodeguard_proxy_connections_open", "Authorized connections") { [weak self] in
            (self?.listeners ?? []).map { ([("listener", $0.name)], Double($0.counters.openCount)) }
        }
        metrics.gauge("nodeguard_proxy_connections_unauthenticated", "Connections that are not proven yet") {
            [weak self] in
            [([], Double(self?.house.admission.unauthenticatedCount ?? 0))]
        }
        metrics.gauge("nodeguard_proxy_stalled_bytes", "Memory that slow readers pin") { [weak self] in
            (self?.relays ?? []).map { ([("lane", $0.lane.label)], Double($0.figures.pinnedBytes)) }
        }
    }
}
