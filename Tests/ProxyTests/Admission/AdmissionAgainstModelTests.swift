import IO
import Testing

@testable import Proxy

@Suite struct `Admission, beside its plainest form,` {
    private static func limits(_ generator: inout some RandomNumberGenerator) -> ProxyLimits {
        func maybe(_ range: ClosedRange<Int>) -> Int? {
            Bool.random(using: &generator) ? Int.random(in: range, using: &generator) : nil
        }
        var limits = ProxyLimits()
        limits.connections = Int.random(in: 1...12, using: &generator)
        limits.unauthenticated = Int.random(in: 1...12, using: &generator)
        limits.perAddress = .init(connections: maybe(1...4), unauthenticated: maybe(1...4), rate: maybe(1...4))
        limits.perPrefix = .init(connections: maybe(1...6), unauthenticated: maybe(1...6), rate: maybe(1...8))
        if Bool.random(using: &generator) {
            let failures = Int.random(in: 1...3, using: &generator)
            limits.ban = .init(failures: failures, within: .seconds(3), duration: .seconds(2))
        }
        return limits
    }

    /// Addresses of three prefixes, a few of each.
    private static func network(_ generator: inout some RandomNumberGenerator) -> PeerNetwork {
        let host = UInt8.random(in: 1...4, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: return PeerNetwork(.ipv4([10, 0, 0, host], port: 1))
        case 1: return PeerNetwork(.ipv4([10, 0, 1, host], port: 1))
        default:
            return PeerNetwork(.ipv6([0x20, 1, 0xD, 0xB8, 0, 0, 0, host] + [UInt8](repeating: 1, count: 8), port: 1))
        }
    }

    @Test func `decides alike after every order of events`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<60 {
            let limits = Self.limits(&generator)
            var machine = AdmissionStateMachine(limits: limits)
            var model = AdmissionModel(limits)
            var time = Duration.zero
            for id: UInt64 in 1...400 {
                time += .milliseconds(Int64.random(in: 0...300, using: &generator))
                let network = Self.network(&generator)
                let arrival = machine.arrived(.init(id: id, network: network, listener: 0), at: time)
                let expected = model.arrives(id, network, at: time)
                switch arrival {
                case .admit(let evictions): #expect(evictions.map(\.id) == expected, "\(limits)")
                case .refuse(let excess): #expect(expected == nil, "\(excess) \(limits)")
                }
                for _ in 0..<3 { disturb(&machine, &model, id, time, &generator) }
                #expect(machine.authenticatedCount == model.clients.count(where: \.isAuthenticated))
                #expect(machine.unauthenticatedCount == model.clients.count { !$0.isAuthenticated })
            }
            for client in model.clients { machine.departed(client.id) }
            #expect(machine.authenticatedCount == 0 && machine.unauthenticatedCount == 0)
        }
    }

    private func disturb(
        _ machine: inout AdmissionStateMachine, _ model: inout AdmissionModel, _ newest: UInt64, _ time: Duration,
        _ generator: inout some RandomNumberGenerator
    ) {
        // Some that are gone, too.
        let any = UInt64.random(in: max(20, newest) - 19...newest, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            machine.spoke(any)
            model.speaks(any)
        case 1: #expect((machine.authenticated(any) == .admit) == model.authenticates(any))
        case 2:
            machine.departed(any)
            model.departs(any)
        default:
            _ = machine.misbehaved(any, .tlsFailure, at: time)
            model.misbehaves(any, at: time)
            #expect(Set(machine.bans.all.map(\.network)).isSuperset(of: model.bans.filter { $0.value > time }.keys))
            _ = machine.expireBans(at: time)
            #expect(Set(machine.bans.all.map(\.network)) == Set(model.bans.filter { $0.value > time }.keys))
        }
    }
}
