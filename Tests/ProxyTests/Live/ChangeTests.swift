import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Certificate, trust and rules that change while the proxy runs.
    @Suite(.timeLimit(.minutes(10))) struct `A change in one step` {
        private static let isAll = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

        private static func stage(_ backend: TestBackend) throws -> Stage {
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            limits.handshakesPerSecond = 100_000
            return try Stage([try Stage.listener(.tcp, backend: [backend.address])], limits: limits)
        }

        private static func identity(_ identity: TestIdentity) throws -> TLSIdentity {
            try TLSIdentity(chainFile: try identity.chainPEM, keyFile: identity.keyPath)
        }

        private static func rules(_ names: [String]) throws -> AccessPolicy {
            AccessPolicy(allow: [try AccessRule([.commonName: names])])
        }

        private static func anchors(_ authorities: TestAuthority...) throws -> [Certificate] {
            try authorities.flatMap { try Certificate.parsePEM(try $0.root.certificatePEM) }
        }

        @Test func `is felt by no handshake and no connection, and leaves nothing behind`() async throws {
            let (first, second) = (try Stage.server.get(), try Stage.authority.get().server())
            try await Self.underLoad(rounds: Self.isAll ? 1000 : 200) { stage, round in
                var change = ProxyChange()
                change.identities["database"] = try Self.identity(round.isMultiple(of: 2) ? second : first)
                let own = round.isMultiple(of: 3) ? try Self.anchors(Stage.foreign.get()) : []
                change.trust["db"] = ListenerTrust(trustsCluster: true, anchors: own)
                change.policies["db"] = try Self.rules(round.isMultiple(of: 5) ? ["shop"] : ["shop", "intern"])
                let isAdopted = stage.proxy.adopt(try stage.proxy.test(change))
                #expect(isAdopted)
                await stage.proxy.reviewed()
            }
        }

        /// As each generation is published that was renewed by EST.
        @Test func `of a managed certificate is felt by no handshake and no connection either`() async throws {
            let generations = try (0..<8).map { _ in try Stage.authority.get().server() }
            try await Self.underLoad(rounds: Self.isAll ? 1000 : 100) { stage, round in
                let newest = generations[round % generations.count]
                stage.proxy.publish(identity: try Self.identity(newest), forRole: "database")
                guard round.isMultiple(of: 10) else { return }
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                #expect(client.serverSerial == (try newest.certificate().serial))
                try client.endWriting()
            }
        }

        /// Connections that are held and used, and a client that comes and goes, while `change` does its round.
        private static func underLoad(
            rounds: Int, _ change: (Stage, Int) async throws -> Void
        ) async throws {
            let count = isAll ? 2000 : 50
            let backend = try TestBackend { socket, _ in
                socket.waitsForLong()
                while case let bytes = try socket.receive(), !bytes.isEmpty { try socket.send(bytes) }
            }
            let stage = try Self.stage(backend)
            let held = try (0..<count).map { _ in try TestClient(stage.port, as: try Stage.client.get(), .direct) }
            #expect(await eventually(within: 60) { stage.open == count })

            let isOver = Mutex(false)
            let made = Mutex(0)
            let failures = Notes()
            let client = try Stage.client.get()
            async let handshakes: Void = blocking {
                while !isOver.withLock({ $0 }) {
                    do {
                        let one = try TestClient(stage.port, as: client, .direct)
                        try one.send("x")
                        _ = try one.receive(count: 1)
                        try one.endWriting()
                        made.withLock { $0 += 1 }
                    } catch { failures.add("\(error)") }
                }
            }
            var resident: [Int] = []
            for round in 0..<rounds {
                try await change(stage, round)
                try held[round % count].send("z")
                #expect(try held[round % count].receive(count: 1) == [UInt8(ascii: "z")])
                resident.append(try Self.residentPages())
            }
            isOver.withLock { $0 = true }
            try await handshakes
            #expect(failures.all == [])
            #expect(made.withLock { $0 } > rounds / 20)
            for client in held {
                try client.send("y")
                #expect(try client.receive(count: 1) == [UInt8(ascii: "y")])
            }
            let (early, late) = (resident[rounds / 4], resident[rounds - 1])
            #expect(isSanitized || late < early + 1024, "\(early) pages became \(late)")
            #expect(await eventually(within: 60) { stage.open == count })
            let isFlat = await eventually(within: 60) { proxySockets(stage, backend) == 2 * count }
            #expect(isFlat, "\(proxySockets(stage, backend)) sockets for \(count) connections")
            withExtendedLifetime(held) {}
            await stage.proxy.stop()
        }

        private static func residentPages() throws -> Int {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(fields.dropFirst().first.flatMap { Int($0) })
        }

        @Test func `that has one mistake changes no listener, and says which`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage(
                try ["one", "two"].map { name in
                    try Stage.listener(.tcp, backend: [backend.address], name: name) {
                        $0.certificateRole = name == "one" ? "database" : "other"
                    }
                })
            let server = try Stage.server.get()
            stage.proxy.publish(identity: try Self.identity(server), forRole: "other")
            let expired = try Stage.authority.get().issue(
                name: "localhost", dnsNames: ["localhost"], usage: [.server], validity: -7200 ... -3600)
            var change = ProxyChange()
            change.identities = [
                "database": try Self.identity(try Stage.authority.get().server()), "other": try Self.identity(expired),
            ]
            change.policies["one"] = AccessPolicy()
            let before = stage.proxy.listeners.map { $0.context.map(ObjectIdentifier.init) }
            let error = #expect(throws: ProxyError.self) { try stage.proxy.test(change) }
            #expect(error?.description.contains("listener two: the certificate of role other") == true)
            #expect(error?.description.contains("listener one") == false)
            #expect(stage.proxy.listeners.map { $0.context.map(ObjectIdentifier.init) } == before)
            let client = try TestClient(stage.port(of: "one"), as: try Stage.client.get(), .direct)
            try client.send("x")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            await stage.proxy.stop()
        }

        @Test func `does not bring back what was published since its test`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            var change = ProxyChange()
            change.trust["db"] = ListenerTrust(trustsCluster: true, anchors: try Self.anchors(Stage.foreign.get()))
            let tested = try stage.proxy.test(change)
            #expect(tested.newTrust == ["db"])
            let renewed = try Stage.authority.get().server()
            try stage.publish(renewed)
            let isAdopted = stage.proxy.adopt(tested)
            #expect(!isAdopted, "its context has the certificate of before")
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            #expect(client.serverSerial == (try renewed.certificate().serial))
            await stage.proxy.stop()
        }

        @Test func `that changes nothing leaves every context and connection as it was`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            let listener = try #require(stage.proxy.listeners.first)
            let before = listener.standing?.generation
            let context = listener.context.map(ObjectIdentifier.init)
            var change = ProxyChange()
            change.trust["db"] = listener.trust
            change.policies["db"] = listener.policy
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(listener.standing?.generation == before && listener.context.map(ObjectIdentifier.init) == context)
            change.identities["database"] = try Self.identity(try Stage.authority.get().server())
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(listener.standing?.generation == before, "a new certificate is no reason to judge anybody")
            #expect(listener.context.map(ObjectIdentifier.init) != context)
            await stage.proxy.stop()
        }

        @Test func `has cut whoever it does not cover by the time that the review is over`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            let clients = try (0..<40).map { _ in try TestClient(stage.port, as: try Stage.client.get(), .direct) }
            // Who is still on the way to its database is judged when it is there, and not by the review.
            for client in clients {
                try client.send("x")
                #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            }
            var change = ProxyChange()
            change.policies["db"] = try Self.rules(["nobody"])
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            await stage.proxy.reviewed()
            #expect(stage.events.named(.connectionClosed).count == 40)
            withExtendedLifetime(clients) {}
            await stage.proxy.stop()
        }
    }
}
