import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Authorization that keeps being true: a live session ends with what let it in.
    @Suite(.timeLimit(.minutes(4))) struct `A live session` {
        static let greeting: [UInt8] =
            [UInt8(ascii: "R"), 0, 0, 0, 8, 0, 0, 0, 0, UInt8(ascii: "Z"), 0, 0, 0, 5, UInt8(ascii: "I")]

        /// Greets as PostgreSQL does, then sends back whatever comes.
        static func server() throws -> TestBackend {
            try TestBackend { socket, _ in
                _ = try socket.receive()
                try socket.send(greeting)
                while true {
                    let bytes = try socket.receive()
                    if bytes.isEmpty { return }
                    try socket.send(bytes)
                }
            }
        }

        private static func stage(_ backend: TestBackend, lanes: Int = 2) throws -> Stage {
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            return try Stage(
                [
                    try Stage.listener(.postgres, backend: [backend.address]) {
                        $0.policy = AccessPolicy(allow: [try AccessRule([.commonName: ["shop", "brief"]])])
                    }
                ], limits: limits, lanes: lanes)
        }

        static func session(_ stage: Stage, _ identity: TestIdentity) throws -> TestClient {
            let client = try TestClient(stage.port, as: identity, .sslRequest)
            try client.send(startup())
            #expect(try client.take(greeting.count) == greeting)
            return client
        }

        static func code(_ bytes: [UInt8]) -> String? {
            `A PostgreSQL port`.errorFields(bytes)["C"]
        }

        @Test func `is cut with its trust, told so in its own protocol, and others are untouched`() async throws {
            let backend = try Self.server()
            let stage = try Self.stage(backend)
            let own = try Certificate.parsePEM(try Stage.authority.get().root.certificatePEM)
            let both = own + (try Certificate.parsePEM(try Stage.foreign.get().root.certificatePEM))
            stage.proxy.publish(trust: try TrustAnchors(both))
            let stranger = try Self.session(stage, try Stage.stranger.get())
            let shop = try Self.session(stage, try Stage.client.get())
            stage.proxy.publish(trust: try TrustAnchors(own))
            let last = try stranger.receiveAll()
            #expect(Self.code(last) == "57P01", "\(last)")
            try shop.send("Q")
            #expect(try shop.receive(count: 1) == [UInt8(ascii: "Q")])
            #expect(await eventually(within: 20) { stage.open == 1 })
            let closed = try #require(stage.events.named(.connectionClosed).first)
            #expect(closed.fields["reason"] == "no-longer-trusted" && closed.outcome == .refused)
            #expect(try stage.counters().cut.value == 1)
            await stage.proxy.stop()
        }

        @Test func `ends with its certificate`() async throws {
            let backend = try Self.server()
            let stage = try Self.stage(backend)
            let brief = try Stage.authority.get().issue(name: "brief", validity: -3600...5)
            let client = try Self.session(stage, brief)
            let shop = try Self.session(stage, try Stage.client.get())
            #expect(Self.code(try client.receiveAll()) == "57P01")
            #expect(
                Date.now.timeIntervalSince1970 >= Double(try Certificate.parsePEM(brief.certificatePEM)[0].notAfter))
            let isTold = await eventually(within: 20) {
                stage.events.named(.connectionClosed).first?.fields["reason"] == "certificate-expired"
            }
            #expect(isTold)
            try shop.send("Q")
            #expect(try shop.receive(count: 1) == [UInt8(ascii: "Q")])
            await stage.proxy.stop()
        }

        @Test func `in the middle of a message hears nothing that could be mistaken for data`()
            async throws
        {
            let backend = try Self.server()
            let stage = try Self.stage(backend)
            let client = try Self.session(stage, try Stage.client.get())
            let half: [UInt8] = [UInt8(ascii: "D"), 0, 0, 0, 100, 1, 2, 3]
            try client.send(half)
            #expect(try client.receive(count: half.count) == half)
            stage.proxy.publish(trust: try TrustAnchors(pem: try Stage.foreign.get().root.certificatePEM))
            #expect(throws: (any Error).self, "no end of TLS: what came may be cut") { try client.receiveAll() }
            await stage.proxy.stop()
        }

        @Test func `that is idle reads 57P01 when the drain's time is over, each of very many`() async throws {
            let isAll = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"
            let backend = try Self.server()
            let stage = try Self.stage(backend)
            let clients = try (0..<(isAll ? 1000 : 100)).map { _ in try Self.session(stage, try Stage.client.get()) }
            await stage.proxy.drain(deadline: .milliseconds(50))
            for client in clients { #expect(Self.code(try client.receiveAll()) == "57P01") }
            #expect(await eventually(within: 20) { stage.open == 0 })
            await stage.proxy.stop()
        }
    }
}
