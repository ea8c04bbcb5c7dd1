import IO
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Budgets of listeners and identities, and the places that are kept for administrators.
    @Suite(.timeLimit(.minutes(3))) struct `A budget of a listener or an identity` {
        private static let words: [DatabaseProtocol: [UInt8]] = [
            .postgres: startup(), .cassandra: [0x04, 0, 0x12, 0x34, 0x05, 0, 0, 0, 0], .redis: Array("PING\r\n".utf8),
        ]

        /// The intern may come in, too.
        private static func listener(
            _ spoken: DatabaseProtocol, _ backend: TestBackend, name: String = "db",
            _ limits: ProxyLimits.PerListener = .init()
        ) throws -> ListenerConfiguration {
            try Stage.listener(spoken, backend: [backend.address], name: name) {
                $0.policy = AccessPolicy(allow: [try AccessRule([.commonName: ["shop", "intern"]])])
                $0.limits = limits
            }
        }

        private static func session(
            _ port: UInt16, _ spoken: DatabaseProtocol = .postgres, as identity: TestIdentity, from source: [UInt8]
        ) throws -> TestClient {
            let client = try TestClient(
                port, as: identity, spoken == .postgres ? .sslRequest : .direct, from: source)
            try client.send(try #require(words[spoken]))
            return client
        }

        private static func echoed(_ client: TestClient, _ spoken: DatabaseProtocol = .postgres) throws -> Bool {
            let words = try #require(words[spoken])
            return try client.receive(count: words.count) == words
        }

        @Test(arguments: [DatabaseProtocol.postgres, .cassandra, .redis])
        func `that is full is said in the client's protocol, before the database hears of it`(
            _ spoken: DatabaseProtocol
        ) async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perIdentity.connections = 1
            let stage = try Stage([try Self.listener(spoken, backend)], limits: limits)
            let shop = try Stage.client.get()
            let first = try Self.session(stage.port, spoken, as: shop, from: [127, 0, 7, 1])
            #expect(try Self.echoed(first, spoken))
            let second = try Self.session(stage.port, spoken, as: shop, from: [127, 0, 8, 1])
            let answer = try second.receiveAll()
            let text = String(decoding: answer, as: UTF8.self)
            let named = "per-identity connections of CN=shop"
            switch spoken {
            case .postgres:
                let fields = `A PostgreSQL port`.errorFields(answer)
                #expect(fields["C"] == "53300" && fields["M"]?.contains(named) == true, "\(text)")
            case .cassandra: #expect(Array(answer[9..<13]) == [0, 0, 0x10, 0x01] && text.contains(named), "\(text)")
            case .redis, .tcp: #expect(text == "-ERR max number of clients reached\r\n")
            }
            #expect(
                await eventually(within: 20) {
                    stage.refused(.identityConnectionLimit) == 1 && stage.open == 1 && backend.count == 1
                })
            #expect(stage.refusalDetails.allSatisfy { $0.hasPrefix(named) && $0.hasSuffix(": 1") })
            let other = try Self.session(stage.port, spoken, as: try Stage.intern.get(), from: [127, 0, 7, 1])
            #expect(try Self.echoed(other, spoken))
            await stage.proxy.stop()
        }

        @Test func `that was fast enough is full for a moment only`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perIdentity.rate = 2
            let stage = try Stage([try Self.listener(.postgres, backend)], limits: limits)
            let shop = try Stage.client.get()
            var refused = 0
            for _ in 0..<30 where refused == 0 {
                let client = try Self.session(stage.port, as: shop, from: [127, 0, 7, 1])
                let answer = try client.receive(count: 5)
                refused += answer[0] == UInt8(ascii: "E") ? 1 : 0
            }
            #expect(await eventually(within: 20) { refused == 1 && stage.refused(.identityRate) == 1 })
            #expect(
                await eventually(within: 20) {
                    (try? Self.session(stage.port, as: shop, from: [127, 0, 7, 1])).map {
                        (try? Self.echoed($0)) == true
                    } ?? false
                })
            await stage.proxy.stop()
        }

        @Test func `of strangers is a listener's own: it closes nobody at another`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Self.listener(.postgres, backend, name: "a", .init(connections: 1, unauthenticated: 3)),
                try Self.listener(.postgres, backend, name: "b"),
            ])
            let quiet = try (0..<3).map { _ in try TestSocket(port: stage.port(of: "b")) }
            let noisy = try (0..<8).map { _ in try TestSocket(port: stage.port(of: "a")) }
            #expect(await eventually(within: 20) { stage.refused(.evicted) == 5 && stage.unauthenticated == 6 })
            #expect(try stage.counters("b").refused == [:])
            #expect(stage.refusalDetails.allSatisfy { $0 == "unauthenticated of listener a: 3" })
            withExtendedLifetime((quiet, noisy)) {}
            let shop = try Stage.client.get()
            #expect(try Self.echoed(try Self.session(stage.port(of: "b"), as: shop, from: [127, 0, 7, 1])))
            let held = try Self.session(stage.port(of: "a"), as: shop, from: [127, 0, 7, 1])
            #expect(try Self.echoed(held))
            let late = try Self.session(stage.port(of: "a"), as: shop, from: [127, 0, 7, 1])
            #expect(`A PostgreSQL port`.errorFields(try late.receiveAll())["C"] == "53300")
            #expect(await eventually(within: 20) { stage.refused(.listenerConnectionLimit) == 1 })
            withExtendedLifetime(held) {}
            await stage.proxy.stop()
        }

        @Test func `does not keep an administrator out, by network before and by identity after`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.connections = 1
            limits.unauthenticated = 2
            limits.handshakesPerSecond = 1
            limits.perPrefix = .init(rate: 5)
            limits.reserved = .init(
                networks: [try #require(PeerNetwork("127.0.9.0/28"))], unauthenticated: 2,
                identities: [try AccessRule([.commonName: ["intern"]])], connections: 1)
            let stage = try Stage([try Self.listener(.postgres, backend)], limits: limits)
            let (shop, administrator) = (try Stage.client.get(), try Stage.intern.get())
            let held = try Self.session(stage.port, as: shop, from: [127, 0, 7, 1])
            #expect(try Self.echoed(held))
            // All budgets are full: of strangers, handshakes, sessions, and the rate of the administrator's prefix.
            let strangers = try (0..<40).map { _ in try TestSocket(port: stage.port, from: [127, 0, 8, 1]) }
            let rivals = try (0..<10).map { _ in try TestSocket(port: stage.port, from: [127, 0, 9, 77]) }
            for socket in strangers + rivals { try? socket.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]) }
            let admitted = try Self.session(stage.port, as: administrator, from: [127, 0, 9, 1])
            #expect(try Self.echoed(admitted))
            stage.proxy.publishStatus()
            let status = stage.health.snapshot.sections["proxy"]?.text ?? ""
            #expect(status.contains(#""reserved":{"connections":1,"unauthenticated":0}"#), "\(status)")
            let ordinary = try Self.session(stage.port, as: shop, from: [127, 0, 9, 1])
            #expect(`A PostgreSQL port`.errorFields(try ordinary.receiveAll())["C"] == "53300")
            let second = try Self.session(stage.port, as: administrator, from: [127, 0, 9, 1])
            #expect(`A PostgreSQL port`.errorFields(try second.receiveAll())["C"] == "53300")
            withExtendedLifetime((held, strangers, rivals)) {}
            await stage.proxy.stop()
        }
    }
}
