import IO
import Testing

@testable import Proxy

@Suite struct `The tables of the limits` {
    private func address(_ number: UInt32) -> PeerNetwork { PeerNetwork(.ipv4(bigEndian(number), port: 1)) }

    @Test func `remember a bounded number of a million addresses, and none that is connected is forgotten`() {
        var limits = ProxyLimits()
        limits.connections = 10
        limits.unauthenticated = 10
        limits.perAddress = .init(connections: 1, rate: 5)
        limits.perPrefix = .init(rate: 1_000_000)
        var machine = AdmissionStateMachine(limits: limits, listeners: [("db", .init())])
        for id: UInt64 in 1...10 {
            let network = PeerNetwork(.ipv6([0x20, 1] + [UInt8](repeating: UInt8(id), count: 14), port: 1))
            _ = machine.arrived(.init(id: id, network: network, listener: 0), at: .zero)
            #expect(machine.authenticated(id, as: .init(), at: .zero) == .admit)
        }
        for number: UInt32 in 0..<1_000_000 {
            _ = machine.arrived(.init(id: UInt64(number) + 100, network: address(number), listener: 0), at: .zero)
        }
        #expect(machine.rememberedCount <= 2 * (10 + 10 + AdmissionStateMachine.spare))
        #expect(machine.unauthenticatedCount == 10 && machine.authenticatedCount == 10)
        let again = PeerNetwork(.ipv6([0x20, 1] + [UInt8](repeating: 3, count: 14), port: 1))
        #expect(
            machine.arrived(.init(id: 5_000_000, network: again, listener: 0), at: .zero)
                == .refuse(.budget(.address(again), .connections, limit: 1)))
    }

    @Test func `forget what was left alone longest first`() {
        var table = LimitTable<Int>(capacity: 4, rate: nil)
        for key in 1...4 {
            let place = table.place(of: key)
            table[place].failures = key
        }
        table.hold(table.place(of: 1))
        _ = table.place(of: 2)
        // 3 has been left alone longest: 1 is held, 2 was asked for.
        _ = table.place(of: 5)
        #expect(table.count == 4)
        #expect([1, 2, 4].map { key in table[table.place(of: key)].failures } == [1, 2, 4])
        table.release(table.place(of: 1))
        // Now 5, 2, 4, 1 wait in this order.
        let reused = table.place(of: 3)
        #expect(table[reused].failures == 0)
        #expect([2, 4, 1].map { key in table[table.place(of: key)].failures } == [2, 4, 1])
    }

    /// Beside a dictionary of all, and an array in the order in which keys were left alone.
    @Test func `hold whatever is held, in any order of events`() {
        var generator = SystemRandomNumberGenerator()
        var table = LimitTable<Int>(capacity: 8, rate: nil)
        var holders: [Int: Int] = [:]
        var idle: [Int] = []
        for step in 1...20_000 {
            let key = Int.random(in: 0..<20, using: &generator)
            if Bool.random(using: &generator), let held = holders.keys.randomElement(using: &generator) {
                table.release(table.place(of: held))
                holders[held]? -= 1
                if holders[held] == 0 {
                    holders[held] = nil
                    idle.append(held)
                }
                continue
            }
            let isKnown = holders[key] != nil || idle.contains(key)
            let place = table.place(of: key)
            #expect((table[place].failures != 0) == isKnown)
            table[place].failures = step
            if holders[key] == nil {
                idle.removeAll { $0 == key }
                idle.append(key)
                if holders.count + idle.count > 8 { idle.removeFirst() }
            }
            guard holders[key] != nil || holders.count < 6 else { continue }
            table.hold(place)
            holders[key, default: 0] += 1
            idle.removeAll { $0 == key }
            #expect(table.count <= 8)
        }
    }

    @Test func `keep a bounded number of bans, those that end last`() {
        var bans = BanTable()
        var displaced: [PeerNetwork] = []
        for number in 0..<UInt32(BanTable.capacity + 100) {
            let began = Duration.milliseconds(Int64(number))
            let events = bans.began(
                Ban(
                    network: address(number), began: began, until: began + .seconds(600), reason: .tlsGarbage,
                    listener: 0))
            displaced += events.compactMap { if case .lifted(let ban, .displaced) = $0 { ban.network } else { nil } }
        }
        #expect(bans.count == BanTable.capacity)
        #expect(displaced == (0..<100).map { address($0) })
        #expect(bans.remaining(address(99), at: .seconds(10)) == nil)
        #expect(bans.remaining(address(100), at: .seconds(10)) == .milliseconds(590_100))
        #expect(bans.expire(at: .milliseconds(600_109)).count == 10)
        #expect(bans.count == BanTable.capacity - 10)
    }

    @Test func `start a ban again when its address misbehaves on`() {
        var bans = BanTable()
        func ban(_ number: UInt32, _ time: Int64) -> Ban {
            Ban(
                network: address(number), began: .seconds(time), until: .seconds(time + 60), reason: .tlsGarbage,
                listener: 0)
        }
        #expect(bans.began(ban(1, 0)).count == 1)
        #expect(bans.began(ban(2, 10)).count == 1)
        #expect(bans.began(ban(1, 20)) == [])
        #expect(bans.remaining(address(1), at: .seconds(20)) == .seconds(60))
        #expect(bans.expire(at: .seconds(70)).map(\.ban.network) == [address(2)])
        #expect(bans.expire(at: .seconds(80)).map(\.ban.began) == [.zero])
    }
}

@Suite struct `An identity, as limits count it,` {
    private func peer(_ change: (inout PeerAttributes) -> Void = { _ in }) -> PeerIdentity {
        var peer = PeerAttributes()
        peer.subject = "CN=shop"
        peer.issuer = "CN=ca"
        peer.uris = ["spiffe://c/a", "spiffe://c/b"]
        peer.dnsNames = ["a.example"]
        peer.serial = "01"
        peer.publicKeySHA256 = [1]
        change(&peer)
        return PeerIdentity(peer)
    }

    @Test func `outlasts a renewal, with another key, serial number and order of names`() {
        #expect(peer() == peer { $0.serial = "02" })
        #expect(peer() == peer { $0.publicKeySHA256 = [2] })
        #expect(peer() == peer { $0.uris.reverse() })
        #expect(peer().name == "CN=shop")
    }

    @Test func `is another one with any other name, or of another issuer`() {
        let others = [
            peer { $0.subject = "CN=desk" }, peer { $0.issuer = "CN=other" }, peer { $0.uris = ["spiffe://c/a"] },
            peer { $0.uris = ["spiffe://c/aspiffe://c/b"] }, peer { $0.dnsNames = [] }, peer { $0.emails = ["a@b"] },
            peer { $0.addresses = [[10, 0, 0, 1]] },
            peer {
                $0.dnsNames = []
                $0.emails = ["a.example"]
            },
        ]
        for other in others { #expect(other != peer()) }
        #expect(Set(others).count == others.count)
        // The workloads of a SPIFFE domain may have no subject at all.
        #expect(peer { $0.subject = "" }.name == "spiffe://c/a")
    }
}

@Suite struct `A network of clients` {
    private func of(_ address: String) -> PeerNetwork { AdmissionSubject.network(address) }

    @Test func `counts an IPv6 host by its 64 bits and a mapped address as what it is`() {
        #expect(of("2001:db8::1") == of("2001:db8::ffff"))
        #expect(of("2001:db8::1") != of("2001:db8:0:1::1"))
        #expect(of("::ffff:10.0.0.1") == of("10.0.0.1"))
        #expect(of("2001:db8:1:ffff::1").prefix == of("2001:db8:1::").prefix)
        #expect(of("2001:db8:1::").prefix != of("2001:db8:2::").prefix)
        #expect(of("10.0.0.1").prefix == of("10.0.0.255").prefix)
        #expect(of("10.0.0.1").prefix != of("10.0.1.1").prefix)
        #expect(of("10.0.0.1") != PeerNetwork(.unix(path: "/x")))
    }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("::/0", "::/0"),
        ("2001:DB8::/48", "2001:db8::/48"), ("::1", "::1/128"), ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
    ])
    func `is read as people write it`(text: String, shown: String) {
        #expect(PeerNetwork(text)?.description == shown)
        #expect(PeerNetwork(shown)?.description == shown)
    }

    @Test(arguments: [
        "", "/", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/24", "10.0.0.0/+8", "10.0.0/8", "2001:db8::/129", "::1/64",
        "here", "10.0.0.0/8/9", "::ffff:10.0.0.0/95", " 10.0.0.1", "10.0.0.0/-1", "10.0.0.0/٨",
    ])
    func `is refused where it is none`(text: String) { #expect(PeerNetwork(text) == nil) }

    @Test func `contains what begins as it does`() throws {
        let cases = [
            ("10.0.0.0/8", "10.255.0.0/16", true), ("10.0.0.0/8", "11.0.0.0/16", false), ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false), ("10.0.0.0/16", "10.0.0.0/8", false), ("::/0", "2001:db8::1", true),
            ("2001:db8::/48", "2001:db8:0:ffff::/64", true), ("2001:db8::/48", "2001:db8:1::/64", false),
        ]
        for (outer, inner, isInside) in cases {
            #expect(try #require(PeerNetwork(outer)).contains(try #require(PeerNetwork(inner))) == isInside, "\(outer)")
        }
    }
}
