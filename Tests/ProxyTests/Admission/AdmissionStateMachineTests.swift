import IO
import Testing

@testable import Proxy

@Suite struct `Admission` {
    @Test func `closes the longest silent connection when the budget is full, never the newcomer`() {
        var subject = AdmissionSubject()
        for id: UInt64 in 1...4 { #expect(subject.arrives(id, from: "10.0.0.\(id)") == .admitted) }
        subject.speaks(1)
        #expect(subject.arrives(5, from: "10.0.0.5") == .admitted([2]))
        subject.speaks(3)
        #expect(subject.arrives(6, from: "10.0.0.6") == .admitted([4]))
        #expect(subject.arrives(7, from: "10.0.0.7") == .admitted([1]))
        #expect(subject.machine.unauthenticatedCount == 4)
        #expect(subject.authenticates(2) == .gone)
    }

    @Test func `takes room from the same address when that address alone is full`() {
        var subject = AdmissionSubject { $0.perAddress.unauthenticated = 2 }
        for (id, address) in [(1, "10.0.0.1"), (2, "10.0.0.2"), (3, "10.0.0.2")] {
            #expect(subject.arrives(UInt64(id), from: address) == .admitted)
        }
        #expect(subject.arrives(4, from: "10.0.0.2") == .admitted([2]))
    }

    @Test func `takes room from the same prefix when that prefix alone is full`() {
        var subject = AdmissionSubject { $0.perPrefix.unauthenticated = 2 }
        #expect(subject.arrives(1, from: "10.0.1.1") == .admitted)
        #expect(subject.arrives(2, from: "10.0.2.1") == .admitted)
        #expect(subject.arrives(3, from: "10.0.2.2") == .admitted)
        subject.speaks(2)
        #expect(subject.arrives(4, from: "10.0.2.3") == .admitted([3]))
        #expect(subject.arrives(5, from: "10.0.1.3") == .admitted)
    }

    @Test func `keeps the budgets of strangers and of proven peers apart`() {
        var subject = AdmissionSubject()
        for id: UInt64 in 1...3 {
            _ = subject.arrives(id, from: "10.0.0.1")
            #expect(subject.authenticates(id) == .admitted)
        }
        #expect(subject.machine.unauthenticatedCount == 0)
        for id: UInt64 in 4...7 { #expect(subject.arrives(id, from: "10.0.0.1") == .admitted) }
        #expect(subject.authenticates(4) == .refused("connections of the proxy: 3"))
        subject.departs(1)
        #expect(subject.authenticates(4) == .admitted)
        #expect(subject.machine.authenticatedCount == 3)
    }

    @Test func `limits what one address may hold, before any handshake where it is certain`() {
        var subject = AdmissionSubject {
            $0.connections = 100
            $0.perAddress.connections = 1
        }
        for (id, address) in [(1, "10.0.0.1"), (2, "10.0.0.1"), (3, "10.0.0.2")] {
            #expect(subject.arrives(UInt64(id), from: address) == .admitted)
        }
        #expect(subject.authenticates(1) == .admitted)
        let words = AdmissionSubject.Outcome.refused("per-address connections of 10.0.0.1/32: 1")
        #expect(subject.authenticates(2) == words)
        #expect(subject.arrives(4, from: "10.0.0.1") == words)
        #expect(subject.authenticates(3) == .admitted)
        subject.departs(1)
        #expect(subject.authenticates(2) == .admitted)
    }

    @Test func `limits what one prefix may hold`() {
        var subject = AdmissionSubject {
            $0.connections = 100
            $0.unauthenticated = 100
            $0.perPrefix.connections = 2
        }
        for id: UInt64 in 1...3 { #expect(subject.arrives(id, from: "2001:db8:7:\(id)::1") == .admitted) }
        for id: UInt64 in 1...2 { #expect(subject.authenticates(id) == .admitted) }
        let words = AdmissionSubject.Outcome.refused("per-prefix connections of 2001:db8:7::/48: 2")
        #expect(subject.authenticates(3) == words)
        #expect(subject.arrives(4, from: "2001:db8:7:ffff::9") == words)
        #expect(subject.arrives(5, from: "2001:db8:8::1") == .admitted)
        subject.departs(2)
        #expect(subject.arrives(6, from: "2001:db8:7:ffff::9") == .admitted)
    }

    @Test func `limits the rate of one address and of one prefix, and lets them in again later`() {
        var subject = AdmissionSubject {
            $0.unauthenticated = 100
            $0.perAddress.rate = 10
            $0.perPrefix.rate = 15
        }
        for id: UInt64 in 1...10 { #expect(subject.arrives(id, from: "203.0.113.1") == .admitted) }
        let ofAddress = AdmissionSubject.Outcome.refused("per-address rate of 203.0.113.1/32: 10/s")
        // What an address is refused for costs its neighbours nothing.
        for id: UInt64 in 11...40 { #expect(subject.arrives(id, from: "203.0.113.1") == ofAddress) }
        for id: UInt64 in 41...45 { #expect(subject.arrives(id, from: "203.0.113.2") == .admitted) }
        let ofPrefix = AdmissionSubject.Outcome.refused("per-prefix rate of 203.0.113.0/24: 15/s")
        #expect(subject.arrives(46, from: "203.0.113.3") == ofPrefix)
        #expect(subject.arrives(47, from: "203.0.114.3") == .admitted)
        #expect(subject.arrives(48, from: "203.0.113.1", at: .milliseconds(100)) == .admitted)
        #expect(subject.arrives(49, from: "203.0.113.1", at: .milliseconds(101)) == ofAddress)
        #expect(subject.arrives(50, from: "203.0.113.4", at: .milliseconds(102)) == ofPrefix)
    }

    @Test func `spreads handshakes over time and sheds what would wait too long`() {
        var subject = AdmissionSubject { $0.handshakesPerSecond = 10 }
        for id: UInt64 in 1...10 { #expect(subject.requestsHandshake(id, at: .zero) == .begin) }
        var delays: [Duration] = []
        var refused: Set<String> = []
        for id: UInt64 in 11...60 {
            switch subject.requestsHandshake(id, at: .zero) {
            case .wait(let delay): delays.append(delay)
            case .refuse(let excess): refused.insert(excess.description)
            case .begin: Issue.record("neither delayed nor refused")
            }
        }
        #expect(delays == delays.sorted())
        #expect(delays.count == 20 && refused == ["handshakes-per-second of the proxy: 10/s"])
        #expect(delays.allSatisfy { $0 <= AdmissionStateMachine.longestDelay })
        #expect(subject.requestsHandshake(99, at: .seconds(10)) == .begin)
    }

    @Test func `bans an address that misbehaves again and again, for a time`() {
        var subject = AdmissionSubject { $0.ban = .init(failures: 3, within: .seconds(60), duration: .seconds(600)) }
        var events: [BanEvent] = []
        for id: UInt64 in 1...3 {
            #expect(subject.arrives(id, from: "10.0.0.1") == .admitted)
            #expect(events.isEmpty)
            events = subject.misbehaves(id, at: .seconds(Int64(id)))
            subject.departs(id)
        }
        let ban = Ban(
            network: AdmissionSubject.network("10.0.0.1"), began: .seconds(3), until: .seconds(603),
            reason: .tlsGarbage, listener: 0)
        #expect(events == [.began(ban)])
        let words = AdmissionSubject.Outcome.refused("ban of 10.0.0.1/32: 600 s left")
        #expect(subject.arrives(4, from: "10.0.0.1", at: .milliseconds(3001)) == words)
        #expect(subject.arrives(5, from: "10.0.0.2", at: .seconds(4)) == .admitted)
        #expect(subject.expires(at: .seconds(602)) == [])
        #expect(subject.expires(at: .seconds(603)) == [.lifted(ban, .expired)])
        #expect(subject.arrives(6, from: "10.0.0.1", at: .seconds(603)) == .admitted)
        #expect(subject.machine.bans.count == 0)
    }

    @Test func `bans all of an IPv6 network of 64 bits`() {
        var subject = AdmissionSubject { $0.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600)) }
        _ = subject.arrives(1, from: "2001:db8::1")
        #expect(subject.misbehaves(1, at: .zero).count == 1)
        #expect(subject.arrives(2, from: "2001:db8::ffff") == .refused("ban of 2001:db8::/64: 600 s left"))
        #expect(subject.arrives(3, from: "2001:db8:0:1::1") == .admitted)
    }

    @Test func `forgets failures that lie far apart`() {
        var subject = AdmissionSubject { $0.ban = .init(failures: 2, within: .seconds(60), duration: .seconds(600)) }
        for id: UInt64 in 1...5 {
            #expect(subject.arrives(id, from: "10.0.0.1", at: .seconds(100 * Int64(id))) == .admitted)
            #expect(subject.misbehaves(id, at: .seconds(100 * Int64(id))) == [])
            subject.departs(id)
        }
    }

    @Test func `lifts the bans of an address, of a network or of all`() {
        var subject = AdmissionSubject {
            $0.unauthenticated = 100
            $0.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600))
        }
        let banned = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "2001:db8:1::1"]
        for (id, address) in banned.enumerated() {
            _ = subject.arrives(UInt64(id), from: address)
            #expect(subject.misbehaves(UInt64(id), at: .zero).count == 1)
        }
        #expect(subject.lifts("192.0.2.1") == [])
        #expect(subject.lifts("10.0.0.1").map(\.ban.network) == [AdmissionSubject.network("10.0.0.1")])
        #expect(subject.arrives(10, from: "10.0.0.1") == .admitted)
        // The ban of its network, too.
        #expect(subject.lifts("2001:db8::77").count == 1)
        #expect(subject.lifts("10.0.0.0/8").count == 2)
        #expect(subject.machine.bans.count == 1)
        #expect(subject.lifts(nil).count == 1)
        #expect(subject.lifts(nil) == [])
    }

    @Test func `takes room from the same listener when that listener alone is full`() {
        var subject = AdmissionSubject(listeners: [.init(), .init(unauthenticated: 2)]) {
            $0.unauthenticated = 100
            $0.perAddress.unauthenticated = 2
        }
        #expect(subject.arrives(1, from: "10.0.0.1", on: 0) == .admitted)
        #expect(subject.arrives(2, from: "10.0.0.2", on: 1) == .admitted)
        #expect(subject.arrives(3, from: "10.0.0.3", on: 1) == .admitted)
        #expect(subject.arrives(4, from: "10.0.0.1", on: 0) == .admitted)
        #expect(subject.arrives(5, from: "10.0.0.4", on: 1) == .admitted([2]))
        // Its address is full on the one listener, and the other listener is full of others.
        #expect(subject.arrives(6, from: "10.0.0.1", on: 1) == .admitted([1, 3]))
    }

    @Test func `limits what one listener may hold, and says so`() {
        var subject = AdmissionSubject(listeners: [.init(connections: 1), .init()])
        for id: UInt64 in 1...3 { #expect(subject.arrives(id, from: "10.0.0.1", on: id == 3 ? 1 : 0) == .admitted) }
        #expect(subject.authenticates(1) == .admitted)
        #expect(subject.authenticates(2) == .refused("connections of listener l0: 1"))
        #expect(subject.authenticates(3) == .admitted)
        subject.departs(1)
        #expect(subject.authenticates(2) == .admitted)
    }

    @Test func `limits what one identity may hold and how fast it comes, from wherever`() {
        var subject = AdmissionSubject {
            $0.connections = 100
            $0.unauthenticated = 100
            $0.perIdentity = .init(connections: 4, rate: 2)
        }
        for id: UInt64 in 1...9 { #expect(subject.arrives(id, from: "10.0.\(id).1") == .admitted) }
        #expect(subject.authenticates(1, as: "shop") == .admitted)
        #expect(subject.authenticates(2, as: "shop") == .admitted)
        #expect(subject.authenticates(3, as: "shop") == .refused("per-identity rate of CN=shop: 2/s"))
        #expect(subject.authenticates(4, as: "desk") == .admitted)
        #expect(subject.authenticates(3, as: "shop", at: .seconds(1)) == .admitted)
        #expect(subject.authenticates(5, as: "shop", at: .seconds(2)) == .admitted)
        let words = AdmissionSubject.Outcome.refused("per-identity connections of CN=shop: 4")
        #expect(subject.authenticates(6, as: "shop", at: .seconds(9)) == words)
        subject.departs(2)
        #expect(subject.authenticates(6, as: "shop", at: .seconds(9)) == .admitted)
    }

    @Test func `keeps places for listed networks that no stranger takes`() {
        var subject = AdmissionSubject {
            $0.unauthenticated = 1
            $0.perAddress.rate = 1
            $0.handshakesPerSecond = 1
            $0.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600))
            $0.reserved.unauthenticated = 2
        }
        for id: UInt64 in 1...2 { #expect(subject.arrives(id, from: "10.9.0.1", isReserved: true) == .admitted) }
        for id: UInt64 in 3...9 { _ = subject.arrives(id, from: "10.0.0.\(id)") }
        for id: UInt64 in 3...9 { _ = subject.requestsHandshake(id, at: .zero) }
        #expect(subject.machine.unauthenticatedCount == 3 && subject.machine.reservedSilentCount == 2)
        #expect(subject.requestsHandshake(1, at: .zero) == .begin)
        #expect(subject.requestsHandshake(2, at: .zero) == .begin)
        // One more than the places takes one of everybody's.
        #expect(subject.arrives(10, from: "10.9.0.2", isReserved: true) == .admitted([9]))
        #expect(subject.misbehaves(1, at: .zero) == [] && subject.misbehaves(10, at: .zero) == [])
        #expect(subject.authenticates(1) == .admitted)
        #expect(subject.machine.reservedSilentCount == 1 && subject.machine.reservedAuthenticatedCount == 0)
        subject.departs(2)
        #expect(subject.arrives(11, from: "10.9.0.1", isReserved: true) == .admitted)
        #expect(subject.arrives(12, from: "10.9.0.1", isReserved: true) == .admitted)
    }

    @Test func `keeps places for listed identities where any limit would refuse them`() {
        var subject = AdmissionSubject(listeners: [.init(connections: 1)]) {
            $0.unauthenticated = 100
            $0.perIdentity.connections = 1
            $0.reserved.connections = 2
        }
        for id: UInt64 in 1...6 { #expect(subject.arrives(id, from: "10.0.0.1") == .admitted) }
        #expect(subject.authenticates(1, as: "dba", isReserved: true) == .admitted)
        #expect(subject.machine.reservedAuthenticatedCount == 0, "everybody's places come first")
        #expect(subject.authenticates(2, as: "dba", isReserved: true) == .admitted)
        #expect(subject.authenticates(3, as: "shop") == .refused("connections of listener l0: 1"))
        #expect(subject.authenticates(4, as: "dba", isReserved: true) == .admitted)
        #expect(subject.machine.reservedAuthenticatedCount == 2 && subject.machine.authenticatedCount == 3)
        #expect(subject.authenticates(5, as: "dba", isReserved: true) == .refused("connections of listener l0: 1"))
        subject.departs(2)
        #expect(subject.authenticates(5, as: "dba", isReserved: true) == .admitted)
    }
}
