import IO
import Testing

@testable import Proxy

@Suite struct `Admission` {
    private func network(_ text: String) -> PeerNetwork {
        guard let address = SocketAddress(text) else { preconditionFailure("no address") }
        return PeerNetwork(address)
    }

    private func machine(_ change: (inout ProxyLimits) -> Void = { _ in }) -> AdmissionStateMachine {
        var limits = ProxyLimits()
        limits.unauthenticated = 4
        limits.connections = 3
        limits.perAddress.unauthenticated = nil
        change(&limits)
        return AdmissionStateMachine(limits: limits)
    }

    @Test func `closes the longest silent connection when the budget is full, never the newcomer`() {
        var machine = machine()
        for id: UInt64 in 1...4 { #expect(machine.arrived(id, from: network("10.0.0.\(id):1"), at: .zero) == .admit) }
        machine.spoke(1)
        #expect(machine.arrived(5, from: network("10.0.0.5:1"), at: .zero) == .admitEvicting(2))
        machine.spoke(3)
        #expect(machine.arrived(6, from: network("10.0.0.6:1"), at: .zero) == .admitEvicting(4))
        #expect(machine.arrived(7, from: network("10.0.0.7:1"), at: .zero) == .admitEvicting(1))
        #expect(machine.unauthenticatedCount == 4)
        #expect(machine.authenticated(2) == .refuse(.evicted))
    }

    @Test func `takes room from the same address when that address alone is full`() {
        var machine = machine { $0.perAddress.unauthenticated = 2 }
        _ = machine.arrived(1, from: network("10.0.0.1:1"), at: .zero)
        _ = machine.arrived(2, from: network("10.0.0.2:1"), at: .zero)
        _ = machine.arrived(3, from: network("10.0.0.2:9"), at: .zero)
        #expect(machine.arrived(4, from: network("10.0.0.2:7"), at: .zero) == .admitEvicting(2))
    }

    @Test func `keeps the budgets of strangers and of proven peers apart`() {
        var machine = machine()
        for id: UInt64 in 1...3 {
            _ = machine.arrived(id, from: network("10.0.0.1:1"), at: .zero)
            #expect(machine.authenticated(id) == .admit)
        }
        #expect(machine.unauthenticatedCount == 0)
        for id: UInt64 in 4...7 { #expect(machine.arrived(id, from: network("10.0.0.1:1"), at: .zero) == .admit) }
        #expect(machine.authenticated(4) == .refuse(.connectionLimit))
        machine.departed(1)
        #expect(machine.authenticated(4) == .admit)
        #expect(machine.authenticatedCount == 3)
    }

    @Test func `counts an announced connection for its client, and its proxy for nobody`() {
        var machine = machine {
            $0.unauthenticated = 100
            $0.perAddress = ProxyLimits.PerAddress(connections: 1, unauthenticated: 2, rate: 3)
            $0.ban = ProxyLimits.Ban(failures: 1, within: .seconds(60), duration: .seconds(60))
        }
        for id: UInt64 in 1...20 { #expect(machine.arrived(id, from: .unannounced, at: .zero) == .admit) }
        machine.misbehaved(20, at: .zero)
        #expect(machine.arrived(21, from: .unannounced, at: .zero) == .admit)
        #expect(machine.announced(1, from: network("10.0.0.1:1"), at: .zero) == .admit)
        #expect(machine.announced(2, from: network("10.0.0.1:2"), at: .zero) == .admit)
        #expect(machine.announced(3, from: network("10.0.0.1:3"), at: .zero) == .admitEvicting(1))
        #expect(machine.announced(4, from: network("10.0.0.1:4"), at: .zero) == .refuse(.addressRate))
        #expect(machine.announced(1, from: network("10.0.0.2:1"), at: .zero) == .refuse(.evicted))
        #expect(machine.authenticated(2) == .admit)
        #expect(machine.authenticated(3) == .refuse(.addressConnectionLimit))
        machine.departed(3)
        // Not announced: the proxy itself, as often as it likes.
        #expect(machine.authenticated(5) == .admit && machine.authenticated(6) == .admit)
        #expect(machine.announced(7, from: network("10.0.0.3:1"), at: .zero) == .admit)
        machine.misbehaved(7, at: .zero)
        #expect(machine.announced(8, from: network("10.0.0.3:2"), at: .zero) == .refuse(.banned))
        for id: UInt64 in 1...21 { machine.departed(id) }
        #expect(machine.unauthenticatedCount == 0 && machine.authenticatedCount == 0)
    }

    @Test func `limits what one address may hold`() {
        var machine = machine {
            $0.connections = 100
            $0.perAddress.connections = 1
        }
        _ = machine.arrived(1, from: network("10.0.0.1:1"), at: .zero)
        _ = machine.arrived(2, from: network("10.0.0.1:2"), at: .zero)
        _ = machine.arrived(3, from: network("10.0.0.2:2"), at: .zero)
        #expect(machine.authenticated(1) == .admit)
        #expect(machine.authenticated(2) == .refuse(.addressConnectionLimit))
        #expect(machine.authenticated(3) == .admit)
        machine.departed(1)
        #expect(machine.authenticated(2) == .admit)
    }

    @Test func `limits the rate of one address, and lets it in again later`() {
        var machine = machine {
            $0.unauthenticated = 100
            $0.perAddress.rate = 10
        }
        for id: UInt64 in 1...10 { #expect(machine.arrived(id, from: network("10.0.0.1:1"), at: .zero) == .admit) }
        #expect(machine.arrived(11, from: network("10.0.0.1:1"), at: .zero) == .refuse(.addressRate))
        #expect(machine.arrived(12, from: network("10.0.0.2:1"), at: .zero) == .admit)
        #expect(machine.arrived(13, from: network("10.0.0.1:1"), at: .milliseconds(100)) == .admit)
        #expect(machine.arrived(14, from: network("10.0.0.1:1"), at: .milliseconds(101)) == .refuse(.addressRate))
    }

    @Test func `spreads handshakes over time and sheds what would wait too long`() {
        var machine = machine { $0.handshakesPerSecond = 10 }
        for id: UInt64 in 1...10 { #expect(machine.handshakeRequested(id, at: .zero) == .beginHandshake) }
        var delays: [Duration] = []
        var refused = 0
        for id: UInt64 in 11...60 {
            switch machine.handshakeRequested(id, at: .zero) {
            case .delayHandshake(let delay): delays.append(delay)
            case .refuse(.handshakeRate): refused += 1
            default: Issue.record("neither delayed nor refused")
            }
        }
        #expect(delays == delays.sorted())
        #expect(delays.count == 20 && refused == 30)
        #expect(delays.allSatisfy { $0 <= AdmissionStateMachine.longestDelay })
        #expect(machine.handshakeRequested(99, at: .seconds(10)) == .beginHandshake)
    }

    @Test func `bans an address that misbehaves again and again, for a time`() {
        var machine = machine { $0.ban = .init(failures: 3, within: .seconds(60), duration: .seconds(600)) }
        for id: UInt64 in 1...3 {
            #expect(machine.arrived(id, from: network("10.0.0.1:1"), at: .zero) == .admit)
            machine.misbehaved(id, at: .seconds(Int64(id)))
            machine.departed(id)
        }
        #expect(machine.arrived(4, from: network("10.0.0.1:1"), at: .seconds(4)) == .refuse(.banned))
        #expect(machine.arrived(5, from: network("10.0.0.2:1"), at: .seconds(4)) == .admit)
        #expect(machine.arrived(6, from: network("10.0.0.1:1"), at: .seconds(604)) == .admit)
    }

    @Test func `forgets failures that lie far apart`() {
        var machine = machine { $0.ban = .init(failures: 2, within: .seconds(60), duration: .seconds(600)) }
        for id: UInt64 in 1...5 {
            #expect(machine.arrived(id, from: network("10.0.0.1:1"), at: .seconds(100 * Int64(id))) == .admit)
            machine.misbehaved(id, at: .seconds(100 * Int64(id)))
            machine.departed(id)
        }
    }

    @Test func `counts an IPv6 host by its network and a mapped address as what it is`() {
        #expect(network("[2001:db8::1]:1") == network("[2001:db8::ffff]:2"))
        #expect(network("[2001:db8::1]:1") != network("[2001:db8:0:1::1]:1"))
        #expect(network("[::ffff:10.0.0.1]:1") == network("10.0.0.1:5"))
    }

    @Test func `remembers a bounded number of networks`() {
        var limits = ProxyLimits()
        limits.connections = 10
        limits.unauthenticated = 10
        var table = NetworkTable(limits: limits)
        for number: UInt32 in 0..<20_000 {
            let bytes = bigEndian(number)
            _ = table.arrived(PeerNetwork(.ipv4(bytes, port: 1)), at: .zero)
        }
        #expect(table.count <= 10 + 10 + 4096)
    }

    @Test func `survives any order of events without losing count`() {
        var generator = SystemRandomNumberGenerator()
        var machine = machine { $0.perAddress.unauthenticated = 3 }
        var present: Set<UInt64> = []
        var proven: Set<UInt64> = []
        for id: UInt64 in 1...5000 {
            switch machine.arrived(id, from: network("10.0.0.\(id % 5):1"), at: .seconds(Int64(id))) {
            case .admit: present.insert(id)
            case .admitEvicting(let victim):
                #expect(present.remove(victim) != nil && !proven.contains(victim))
                present.insert(id)
            default: break
            }
            for _ in 0..<2 {
                guard let any = present.randomElement(using: &generator) else { continue }
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: machine.spoke(any)
                case 1: if machine.authenticated(any) == .admit { proven.insert(any) }
                case 2: machine.departed(any); present.remove(any); proven.remove(any)
                default: machine.misbehaved(any, at: .seconds(Int64(id)))
                }
            }
            #expect(machine.authenticatedCount == proven.count)
            #expect(machine.unauthenticatedCount == present.count - proven.count)
        }
    }
}
