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
