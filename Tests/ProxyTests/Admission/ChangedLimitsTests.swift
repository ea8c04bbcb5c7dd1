import IO
import Testing

@testable import Proxy

@Suite struct `Limits that change` {
    private static func session(_ subject: inout AdmissionSubject, _ id: UInt64, from address: String) {
        #expect(subject.arrives(id, from: address) == .admitted)
        #expect(subject.authenticates(id, as: "shop") == .admitted)
    }

    @Test func `cut nobody when they are lowered, and let newcomers in again once enough have gone`() {
        var subject = AdmissionSubject()
        for id: UInt64 in 1...3 { Self.session(&subject, id, from: "10.0.0.\(id)") }
        subject.changes { $0.connections = 1 }
        #expect(subject.machine.authenticatedCount == 3)
        #expect(subject.arrives(4, from: "10.0.0.4") == .admitted)
        #expect(subject.authenticates(4) == .refused("connections of the proxy: 1"))
        subject.departs(1)
        subject.departs(2)
        #expect(subject.authenticates(4) == .refused("connections of the proxy: 1"))
        subject.departs(3)
        #expect(subject.authenticates(4) == .admitted)
        subject.changes { $0.connections = 2 }
        Self.session(&subject, 5, from: "10.0.0.5")
    }

    @Test func `of strangers cut none by themselves, and are held to with each newcomer`() {
        var subject = AdmissionSubject()
        for id: UInt64 in 1...4 { #expect(subject.arrives(id, from: "10.0.0.\(id)") == .admitted) }
        subject.changes { $0.unauthenticated = 2 }
        #expect(subject.machine.unauthenticatedCount == 4)
        #expect(subject.arrives(5, from: "10.0.0.5") == .admitted([1]))
        #expect(subject.machine.unauthenticatedCount == 4)
    }

    @Test func `count those who are there when they are switched on, by address and by prefix`() {
        var subject = AdmissionSubject { $0.perAddress = .init() }
        Self.session(&subject, 1, from: "10.0.0.1")
        Self.session(&subject, 2, from: "10.0.0.2")
        for id: UInt64 in 11...12 { #expect(subject.arrives(id, from: "10.0.0.1") == .admitted) }
        subject.speaks(11)
        subject.changes {
            $0.perAddress = .init(connections: 1, unauthenticated: 2)
            $0.perPrefix.connections = 2
        }
        #expect(subject.arrives(3, from: "10.0.0.1") == .refused("per-address connections of 10.0.0.1/32: 1"))
        #expect(subject.arrives(4, from: "10.0.0.9") == .refused("per-prefix connections of 10.0.0.0/24: 2"))
        subject.departs(1)
        #expect(subject.arrives(5, from: "10.0.0.1") == .admitted([12]), "the one that was silent longest")
    }

    @Test func `that are switched off and on again know who came meanwhile, identities too`() {
        var subject = AdmissionSubject {
            $0.perIdentity.connections = 1
            $0.perPrefix.connections = 1
        }
        subject.changes {
            $0.perIdentity = .init()
            $0.perPrefix = .init()
        }
        Self.session(&subject, 1, from: "10.0.0.1")
        subject.changes { $0.perIdentity.connections = 1 }
        #expect(subject.arrives(2, from: "10.0.0.2") == .admitted)
        #expect(subject.authenticates(2, as: "shop") == .refused("per-identity connections of CN=shop: 1"))
        subject.changes { $0.perPrefix.connections = 1 }
        #expect(subject.arrives(3, from: "10.0.0.3") == .refused("per-prefix connections of 10.0.0.0/24: 1"))
    }

    @Test func `of identities that nobody was asked for count from then on`() {
        var subject = AdmissionSubject()
        Self.session(&subject, 1, from: "10.0.0.1")
        subject.changes { $0.perIdentity.connections = 1 }
        Self.session(&subject, 2, from: "10.0.0.2")
        #expect(subject.arrives(3, from: "10.0.0.3") == .admitted)
        #expect(subject.authenticates(3, as: "shop") == .refused("per-identity connections of CN=shop: 1"))
        subject.departs(1)
        subject.departs(2)
        #expect(subject.authenticates(3, as: "shop") == .admitted)
    }

    @Test func `of one listener change with those of all, and those of no other`() {
        var subject = AdmissionSubject(listeners: [.init(), .init()])
        #expect(subject.arrives(1, from: "10.0.0.1", on: 0) == .admitted)
        #expect(subject.authenticates(1) == .admitted)
        subject.changes(ofListeners: ["l0": .init(connections: 1), "elsewhere": .init(connections: 1)]) { _ in }
        #expect(subject.arrives(2, from: "10.0.0.2", on: 0) == .admitted)
        #expect(subject.authenticates(2) == .refused("connections of listener l0: 1"))
        #expect(subject.arrives(3, from: "10.0.0.3", on: 1) == .admitted)
        #expect(subject.authenticates(3) == .admitted)
    }

    /// Each budget is full under one of the limits: together they are more than either allows.
    @Test func `leave every connection its place in the tables, whichever budget it came under`() {
        let many = 3 * AdmissionStateMachine.spare
        var subject = AdmissionSubject {
            ($0.connections, $0.unauthenticated) = (many, 1)
            $0.perAddress.connections = 1
        }
        func address(_ id: Int) -> String { "10.\(id >> 16).\(id >> 8 & 255).\(id & 255)" }
        for id in 1...many {
            #expect(subject.arrives(UInt64(id), from: address(id)) == .admitted)
            #expect(subject.authenticates(UInt64(id)) == .admitted)
        }
        subject.changes {
            ($0.connections, $0.unauthenticated) = (1, many)
            $0.perPrefix.connections = 1000
        }
        for id in many + 1...2 * many { #expect(subject.arrives(UInt64(id), from: address(id)) == .admitted) }
        subject.changes { ($0.connections, $0.unauthenticated) = (1, 1) }
        #expect(subject.machine.authenticatedCount == many && subject.machine.unauthenticatedCount == many)
        for id in 1...2 * many { subject.departs(UInt64(id)) }
        #expect(subject.machine.authenticatedCount == 0 && subject.machine.unauthenticatedCount == 0)
    }

    // MARK: rates

    @Test func `of a rate give no burst, and owe no more time than before`() {
        var bucket = TokenBucket(rate: 10)
        for _ in 0..<10 { #expect(bucket.reserve(at: .zero, within: .zero) == .zero) }
        bucket.change(rate: 1000)
        #expect(bucket.reserve(at: .zero, within: .zero) == nil, "no token was there")
        #expect(bucket.reserve(at: .milliseconds(1), within: .zero) == .zero)
        // A debt of half a second stays one of half a second.
        var indebted = TokenBucket(rate: 1000)
        for _ in 0..<1500 { _ = indebted.reserve(at: .zero, within: .seconds(2)) }
        indebted.change(rate: 2)
        let wait = indebted.reserve(at: .zero, within: .seconds(2))
        #expect(wait == .seconds(1), "its own half second, and the half of the one token")
    }

    @Test func `of handshakes count at once`() {
        var subject = AdmissionSubject { $0.handshakesPerSecond = 100 }
        subject.changes { $0.handshakesPerSecond = 1 }
        #expect(subject.arrives(1, from: "10.0.0.1") == .admitted)
        #expect(subject.requestsHandshake(1, at: .zero) == .begin)
        #expect(subject.requestsHandshake(1, at: .zero) == .wait(.seconds(1)))
    }

    // MARK: bans

    private static func misbehaves(_ subject: inout AdmissionSubject, _ id: UInt64, at time: Duration) -> Int {
        _ = subject.arrives(id, from: "10.0.0.\(id)", at: time)
        return subject.misbehaves(id, at: time).count
    }

    @Test func `of bans see who was there before, keep those in force, and end none later than a new one`() {
        var subject = AdmissionSubject { $0.perAddress = .init() }
        _ = subject.arrives(1, from: "10.0.0.1")
        #expect(subject.misbehaves(1, at: .zero) == [])
        subject.changes { $0.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600)) }
        #expect(subject.misbehaves(1, at: .zero).count == 1)
        #expect(Self.misbehaves(&subject, 2, at: .seconds(100)) == 1)
        subject.changes(at: .seconds(200)) { $0.ban = nil }
        #expect(Self.misbehaves(&subject, 3, at: .seconds(200)) == 0)
        #expect(subject.machine.bans.count == 2)
        subject.changes(at: .seconds(300)) {
            $0.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(60))
        }
        #expect(Self.misbehaves(&subject, 4, at: .seconds(310)) == 1)
        // 600 and 700 have become 360; the new one is the last.
        #expect(subject.expires(at: .seconds(359)) == [])
        #expect(subject.expires(at: .seconds(360)).count == 2)
        #expect(subject.expires(at: .seconds(370)).count == 1)
    }
}
