import Testing

@testable import Proxy

/// Connections of a listed proxy, which says later whose they are.
@Suite struct `Admission behind a proxy` {
    @Test func `counts an announced connection for its client, and its proxy for nobody`() {
        var subject = AdmissionSubject {
            $0.unauthenticated = 100
            $0.perAddress = .init(connections: 1, unauthenticated: 2, rate: 3)
            $0.ban = ProxyLimits.Ban(failures: 1, within: .seconds(60), duration: .seconds(60))
        }
        for id: UInt64 in 1...20 { #expect(subject.arrives(id, from: nil) == .admitted) }
        #expect(subject.misbehaves(20, at: .zero) == [])
        #expect(subject.arrives(21, from: nil) == .admitted)
        #expect(subject.announced(1, from: "10.0.0.1") == .admitted)
        #expect(subject.announced(2, from: "10.0.0.1") == .admitted)
        #expect(subject.announced(3, from: "10.0.0.1") == .admitted([1]))
        #expect(subject.announced(4, from: "10.0.0.1") == .refused("per-address rate of 10.0.0.1/32: 3/s"))
        #expect(subject.announced(1, from: "10.0.0.2") == .admitted, "who was evicted is on its way out")
        #expect(subject.authenticates(1) == .gone)
        #expect(subject.authenticates(2) == .admitted)
        #expect(subject.authenticates(3) == .refused("per-address connections of 10.0.0.1/32: 1"))
        subject.departs(3)
        // Not announced: the proxy itself, as often as it likes.
        #expect(subject.authenticates(5) == .admitted && subject.authenticates(6) == .admitted)
        #expect(subject.announced(7, from: "10.0.0.3") == .admitted)
        #expect(subject.misbehaves(7, at: .zero).count == 1)
        guard case .refused = subject.announced(8, from: "10.0.0.3") else {
            Issue.record("it is banned")
            return
        }
        for id: UInt64 in 1...21 { subject.departs(id) }
        #expect(subject.machine.unauthenticatedCount == 0 && subject.machine.authenticatedCount == 0)
    }

    @Test func `gives an announced connection the place that is reserved for its network`() {
        var subject = AdmissionSubject { $0.reserved.unauthenticated = 1 }
        for id: UInt64 in 1...4 { #expect(subject.arrives(id, from: nil) == .admitted) }
        #expect(subject.announced(1, from: "10.0.0.1", isReserved: true) == .admitted)
        #expect(subject.machine.reservedSilentCount == 1 && subject.machine.unauthenticatedCount == 4)
        #expect(subject.announced(2, from: "10.0.0.1", isReserved: true) == .admitted)
        #expect(subject.machine.reservedSilentCount == 1)
        for id: UInt64 in 1...4 { subject.departs(id) }
        #expect(subject.machine.unauthenticatedCount == 0)
    }
}

@Suite struct `A client that a ban or a budget would stop at the door` {
    @Test func `is let in at a tunnel, behind whose address stands the whole node`() {
        var subject = AdmissionSubject {
            $0.ban = ProxyLimits.Ban(failures: 1, within: .seconds(60), duration: .seconds(60))
        }
        #expect(subject.arrives(1, from: "127.0.0.1") == .admitted)
        #expect(subject.misbehaves(1, at: .zero).count == 1)
        guard case .refused = subject.arrives(2, from: "127.0.0.1") else {
            Issue.record("it is banned")
            return
        }
        #expect(subject.arrives(3, from: "127.0.0.1", isOfTunnel: true) == .admitted)
    }

    @Test func `may prove to be one that a place is reserved for`() throws {
        let administrators = [try AccessRule([.commonName: ["dba"]])]
        var subject = AdmissionSubject {
            $0.connections = 10
            $0.perAddress.connections = 1
            $0.reserved.identities = administrators
            $0.reserved.connections = 1
        }
        #expect(subject.arrives(1, from: "10.0.0.1") == .admitted && subject.authenticates(1) == .admitted)
        #expect(subject.arrives(2, from: "10.0.0.1") == .admitted)
        #expect(subject.authenticates(2) == .refused("per-address connections of 10.0.0.1/32: 1"))
        #expect(subject.authenticates(2, isReserved: true) == .admitted)
        // No place is left to hope for.
        #expect(subject.arrives(3, from: "10.0.0.1") == .refused("per-address connections of 10.0.0.1/32: 1"))
    }
}
