import IO
import Testing

@testable import Proxy

@Suite struct `Admission, beside its plainest form,` {
    private struct Case {
        var generator = SystemRandomNumberGenerator()
        var limits = ProxyLimits()
        var listeners: [ProxyLimits.PerListener] = []
        var machine: AdmissionStateMachine
        var model: AdmissionModel
        var time = Duration.zero

        private mutating func maybe(_ range: ClosedRange<Int>) -> Int? {
            Bool.random(using: &generator) ? Int.random(in: range, using: &generator) : nil
        }

        init() {
            (machine, model) = (AdmissionStateMachine(limits: limits, listeners: []), AdmissionModel(limits, []))
            draw()
            machine = AdmissionStateMachine(
                limits: limits, listeners: listeners.enumerated().map { ("l\($0)", $1) })
            model = AdmissionModel(limits, listeners)
        }

        private mutating func draw() {
            limits.connections = Int.random(in: 1...12, using: &generator)
            limits.unauthenticated = Int.random(in: 1...12, using: &generator)
            limits.perAddress = .init(connections: maybe(1...4), unauthenticated: maybe(1...4), rate: maybe(1...4))
            limits.perPrefix = .init(connections: maybe(1...6), unauthenticated: maybe(1...6), rate: maybe(1...8))
            limits.perIdentity = .init(connections: maybe(1...3), rate: maybe(1...3))
            limits.reserved.unauthenticated = maybe(1...2) ?? 0
            limits.reserved.connections = maybe(1...2) ?? 0
            limits.ban = maybe(1...3).map { .init(failures: $0, within: .seconds(3), duration: .seconds(2)) }
            // Most tables are not there from the start.
            if Bool.random(using: &generator) { (limits.perAddress, limits.ban) = (.init(), nil) }
            if Bool.random(using: &generator) { limits.perPrefix = .init() }
            if Bool.random(using: &generator) { limits.perIdentity = .init() }
            listeners = (0..<3).map { _ in .init(connections: maybe(1...6), unauthenticated: maybe(1...6)) }
        }

        /// Nobody is cut by it: `disturb` compares who is there.
        mutating func changeLimits() {
            draw()
            let named = listeners.enumerated().map { ("l\($0)", $1) }
            machine.limitsChanged(to: limits, ofListeners: Dictionary(uniqueKeysWithValues: named), at: time)
            model.changes(limits, listeners, at: time)
            #expect(machine.authenticatedCount == model.clients.count(where: \.isAuthenticated))
            #expect(machine.unauthenticatedCount == model.clients.count { !$0.isAuthenticated })
        }

        /// Addresses of three prefixes, a few of each.
        private mutating func network() -> PeerNetwork {
            let host = UInt8.random(in: 1...4, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: return PeerNetwork(.ipv4([10, 0, 0, host], port: 1))
            case 1: return PeerNetwork(.ipv4([10, 0, 1, host], port: 1))
            default:
                let prefix: [UInt8] = [0x20, 1, 0xD, 0xB8, 0, 0, 0, host]
                return PeerNetwork(.ipv6(prefix + [UInt8](repeating: 1, count: 8), port: 1))
            }
        }

        mutating func arrive(_ id: UInt64) {
            time += .milliseconds(Int64.random(in: 0...300, using: &generator))
            let newcomer = AdmissionStateMachine.Newcomer(
                id: id, network: network(), listener: Int.random(in: 0..<3, using: &generator),
                isReserved: Int.random(in: 0..<4, using: &generator) == 0)
            let arrival = machine.arrived(newcomer, at: time)
            let expected = model.arrives(newcomer, at: time)
            switch arrival {
            case .admit(let evictions): #expect(evictions.map(\.id) == expected, "\(limits) \(listeners)")
            case .refuse(let excess): #expect(expected == nil, "\(excess) \(limits) \(listeners)")
            }
        }

        /// One of the latest, or one that is gone.
        mutating func disturb(_ newest: UInt64) {
            let any = UInt64.random(in: (max(20, newest) - 19)...newest, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                machine.spoke(any)
                model.speaks(any)
            case 1:
                let name = ["a", "b", nil].randomElement(using: &generator) ?? nil
                let claim = AdmissionStateMachine.Claim(
                    identity: name.map(AdmissionSubject.identity), isReserved: Bool.random(using: &generator))
                let isAdmitted = machine.authenticated(any, as: claim, at: time) == .admit
                #expect(isAdmitted == model.authenticates(any, as: claim, at: time), "\(limits) \(listeners)")
            case 2:
                machine.departed(any)
                model.departs(any)
            default:
                _ = machine.misbehaved(any, .tlsGarbage, at: time)
                model.misbehaves(any, at: time)
                _ = machine.expireBans(at: time)
                #expect(Set(machine.bans.all.map(\.network)) == Set(model.bans.filter { $0.value > time }.keys))
            }
            #expect(machine.authenticatedCount == model.clients.count(where: \.isAuthenticated))
            #expect(machine.unauthenticatedCount == model.clients.count { !$0.isAuthenticated })
        }
    }

    @Test(arguments: [false, true])
    func `decides alike after every order of events`(changesLimits: Bool) {
        for _ in 0..<100 {
            var one = Case()
            for id: UInt64 in 1...300 {
                if changesLimits, Int.random(in: 0..<15, using: &one.generator) == 0 { one.changeLimits() }
                one.arrive(id)
                for _ in 0..<3 { one.disturb(id) }
            }
            for client in one.model.clients { one.machine.departed(client.client.id) }
            #expect(one.machine.authenticatedCount == 0 && one.machine.unauthenticatedCount == 0)
            #expect(one.machine.reservedSilentCount == 0 && one.machine.reservedAuthenticatedCount == 0)
        }
    }
}
