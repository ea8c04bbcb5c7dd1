import IO

@testable import Proxy

/// The admission under test, in the words of its tests.
struct AdmissionSubject {
    private(set) var machine: AdmissionStateMachine

    /// `listeners`: of each, its own limits.
    init(
        listeners: [ProxyLimits.PerListener] = [.init()], _ change: (inout ProxyLimits) -> Void = { _ in }
    ) {
        var limits = ProxyLimits()
        limits.unauthenticated = 4
        limits.connections = 3
        limits.perAddress.unauthenticated = nil
        limits.perPrefix = .init()
        change(&limits)
        machine = AdmissionStateMachine(
            limits: limits, listeners: listeners.enumerated().map { ("l\($0)", $1) })
    }

    static func network(_ address: String) -> PeerNetwork {
        guard let address = SocketAddress(address.contains(":") ? "[\(address)]:1" : "\(address):1") else {
            preconditionFailure("no address")
        }
        return PeerNetwork(address)
    }

    mutating func changes(
        at time: Duration = .zero, ofListeners: [String: ProxyLimits.PerListener] = [:],
        _ change: (inout ProxyLimits) -> Void
    ) {
        var limits = machine.limits
        change(&limits)
        machine.limitsChanged(to: limits, ofListeners: ofListeners, at: time)
    }

    /// The numbers of those who had to go, or the reason.
    mutating func arrives(
        _ id: UInt64, from address: String?, on listener: Int = 0, isReserved: Bool = false,
        isOfTunnel: Bool = false, at time: Duration = .zero
    ) -> Outcome {
        let newcomer = AdmissionStateMachine.Newcomer(
            id: id, network: address.map(Self.network), listener: listener, isReserved: isReserved,
            isOfTunnel: isOfTunnel)
        switch machine.arrived(newcomer, at: time) {
        case .admit(let evictions): return .admitted(evictions.map(\.id))
        case .refuse(let excess): return .refused(excess.description)
        }
    }

    mutating func announced(
        _ id: UInt64, from address: String, isReserved: Bool = false, at time: Duration = .zero
    ) -> Outcome {
        switch machine.announced(id, from: Self.network(address), isReserved: isReserved, at: time) {
        case .admit(let evictions): .admitted(evictions.map(\.id))
        case .refuse(let excess): .refused(excess.description)
        }
    }

    static func identity(_ name: String) -> PeerIdentity {
        var peer = PeerAttributes()
        peer.subject = "CN=\(name)"
        return PeerIdentity(peer)
    }

    mutating func authenticates(
        _ id: UInt64, as name: String? = nil, isReserved: Bool = false, at time: Duration = .zero
    ) -> Outcome {
        let claim = AdmissionStateMachine.Claim(identity: name.map(Self.identity), isReserved: isReserved)
        return switch machine.authenticated(id, as: claim, at: time) {
        case .admit: .admitted([])
        case .refuse(let excess): .refused(excess.description)
        case .gone: .gone
        }
    }

    mutating func speaks(_ id: UInt64) { machine.spoke(id) }
    mutating func departs(_ id: UInt64) { machine.departed(id) }
    mutating func requestsHandshake(_ id: UInt64, at time: Duration) -> AdmissionStateMachine.Turn {
        machine.handshakeRequested(id, at: time)
    }
    mutating func misbehaves(_ id: UInt64, at time: Duration) -> [BanEvent] {
        machine.misbehaved(id, .tlsGarbage, at: time)
    }
    mutating func expires(at time: Duration) -> [BanEvent] { machine.expireBans(at: time) }
    mutating func lifts(_ network: String?) -> [BanEvent] { machine.liftBans(network.flatMap { PeerNetwork($0) }) }

    enum Outcome: Equatable {
        case admitted([UInt64])
        case refused(String)
        case gone

        static let admitted = Outcome.admitted([])
    }
}
