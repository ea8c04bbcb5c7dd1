import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Limits against clients from several addresses: all of 127.0.0.0/8 is this machine's.
    @Suite(.timeLimit(.minutes(3))) struct `A limit of the proxy` {
        private static func stage(
            _ backend: TestBackend, _ spoken: DatabaseProtocol = .postgres, _ change: (inout ProxyLimits) -> Void
        ) throws -> Stage {
            var limits = ProxyLimits()
            limits.perAddress = .init()
            limits.perPrefix = .init()
            change(&limits)
            return try Stage([try Stage.listener(spoken, backend: [backend.address])], limits: limits)
        }

        /// A session that stays.
        private static func session(_ stage: Stage, from source: [UInt8]) throws -> TestClient {
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest, from: source)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            return client
        }

        /// Whether it is closed before it has said a byte.
        private static func isTurnedAway(_ stage: Stage, from source: [UInt8]) throws -> Bool {
            let socket = try TestSocket(port: stage.port, from: source)
            return (try? socket.receive()) ?? [] == []
        }

        @Test func `of a prefix's rate turns its addresses away before a byte, and no other's`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) { $0.perPrefix.rate = 3 }
            var held: [TestClient] = []
            for host: UInt8 in 1...3 { held.append(try Self.session(stage, from: [127, 0, 7, host])) }
            // A token may have come back meanwhile, but not as fast as these come.
            let turnedAway = try (10..<40).count { try Self.isRefused(stage, from: [127, 0, 7, $0]) }
            #expect(turnedAway >= 20)
            #expect(await eventually(within: 20) { stage.refused(.prefixRate) == turnedAway })
            #expect(stage.refusalDetails.contains("per-prefix rate of 127.0.7.0/24: 3/s"))
            held.append(try Self.session(stage, from: [127, 0, 8, 1]))
            #expect(stage.open == 4)
            await stage.proxy.stop()
        }

        /// Closed at once; one that is let in reads an answer.
        private static func isRefused(_ stage: Stage, from source: [UInt8]) throws -> Bool {
            let socket = try TestSocket(port: stage.port, from: source)
            try? socket.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
            return (try? socket.receive(1)) ?? [] == []
        }

        @Test func `of a prefix's connections is met before any handshake, and is gone with one of them`() async throws
        {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) { $0.perPrefix.connections = 2 }
            let held = try (1...2).map { try Self.session(stage, from: [127, 0, 7, UInt8($0)]) }
            #expect(try Self.isTurnedAway(stage, from: [127, 0, 7, 9]))
            #expect(await eventually(within: 20) { stage.refused(.prefixConnectionLimit) == 1 })
            #expect(stage.refusalDetails == ["per-prefix connections of 127.0.7.0/24: 2"])
            #expect(try stage.counters().handshakesFinished.value == 2)
            _ = try Self.session(stage, from: [127, 0, 8, 9])
            try held[0].endWriting()
            _ = try held[0].receiveAll()
            #expect(await eventually(within: 20) { stage.open == 1 })
            _ = try Self.session(stage, from: [127, 0, 7, 9])
            await stage.proxy.stop()
        }

        @Test func `of a prefix's strangers closes its own silent ones only`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) { $0.perPrefix.unauthenticated = 4 }
            let others = try (1...3).map { try TestSocket(port: stage.port, from: [127, 0, 8, UInt8($0)]) }
            let silent = try (1...9).map { try TestSocket(port: stage.port, from: [127, 0, 7, UInt8($0)]) }
            #expect(await eventually(within: 20) { stage.refused(.evicted) == 5 && stage.unauthenticated == 7 })
            for socket in silent.prefix(5) { #expect(try socket.receive() == []) }
            #expect(stage.refusalDetails.allSatisfy { $0 == "per-prefix unauthenticated of 127.0.7.0/24: 4" })
            _ = try Self.session(stage, from: [127, 0, 7, 77])
            withExtendedLifetime((others, silent)) {}
            await stage.proxy.stop()
        }

        @Test func `that changes counts who is there, cuts nobody, and holds for newcomers at once`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) { $0.perPrefix = .init() }
            let held = try (1...3).map { try Self.session(stage, from: [127, 0, 7, UInt8($0)]) }
            var change = ProxyChange()
            var limits = stage.proxy.limits
            limits.perPrefix.connections = 2
            limits.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600))
            change.limits = limits
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(try Self.isTurnedAway(stage, from: [127, 0, 7, 9]))
            #expect(stage.refusalDetails == ["per-prefix connections of 127.0.7.0/24: 2"])
            _ = try Self.session(stage, from: [127, 0, 8, 1])
            try Self.misbehave(stage, from: [127, 0, 9, 1])
            #expect(await eventually(within: 20) { stage.proxy.bans.map(\.network) == ["127.0.9.1/32"] })
            for client in held {
                try client.send("x")
                #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            }
            change.limits?.perPrefix = .init()
            change.limits?.connections = 1
            change.listenerLimits["db"] = .init(connections: 100)
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            let late = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest, from: [127, 0, 7, 9])
            try late.send(startup())
            _ = try? late.receiveAll()
            #expect(await eventually(within: 20) { stage.refused(.connectionLimit) == 1 })
            #expect(stage.events.named(.connectionClosed).count <= 1, "the one of 127.0.8.1 has hung up")
            withExtendedLifetime(held) {}
            await stage.proxy.stop()
        }

        // MARK: bans

        private static func misbehave(_ stage: Stage, from source: [UInt8]) throws {
            let socket = try TestSocket(port: stage.port, from: source)
            // A length that no packet has.
            try socket.send([0xFF, 0xFF, 0xFF, 0xFF, 0, 3, 0, 0])
            _ = try? socket.receiveAll()
        }

        @Test func `bans who misbehaves, says so, and outlasts a reload, until it is lifted`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) {
                $0.ban = .init(failures: 3, within: .seconds(60), duration: .seconds(600))
            }
            for _ in 0..<3 { try Self.misbehave(stage, from: [127, 0, 7, 1]) }
            #expect(await eventually(within: 20) { stage.events.named(.banBegan).count == 1 })
            let event = stage.events.named(.banBegan)[0]
            #expect(event.fields["network"] == "127.0.7.1/32" && event.fields["reason"] == "malformed-preamble")
            #expect(event.fields["listener"] == "db" && event.fields["seconds"] == 600)
            #expect(try Self.isTurnedAway(stage, from: [127, 0, 7, 1]))
            #expect(await eventually(within: 20) { stage.refused(.banned) == 1 })
            #expect(stage.refusalDetails.last?.hasPrefix("ban of 127.0.7.1/32: ") == true)
            _ = try Self.session(stage, from: [127, 0, 7, 2])
            var change = ProxyChange()
            change.policies["db"] = AccessPolicy(allow: [try AccessRule([.commonName: ["shop"]])])
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(try Self.isTurnedAway(stage, from: [127, 0, 7, 1]))
            let bans = stage.proxy.bans
            #expect(bans.map(\.network) == ["127.0.7.1/32"] && bans.map(\.reason) == ["malformed-preamble"])
            #expect(bans.allSatisfy { (590...600).contains($0.secondsLeft) && $0.since < .now && $0.until > .now })
            stage.proxy.publishStatus()
            #expect(stage.health.snapshot.sections["proxy"]?.text.contains(#""bans":1,"#) == true)
            #expect(stage.metrics.openMetricsText.contains("nodeguard_proxy_bans_active 1"))
            #expect(stage.proxy.liftBans(PeerNetwork("127.0.7.0/24")) == 1)
            #expect(stage.events.named(.banLifted).map { $0.fields["cause"] } == ["command"])
            _ = try Self.session(stage, from: [127, 0, 7, 1])
            #expect(stage.proxy.bans.isEmpty)
            await stage.proxy.stop()
        }

        @Test func `lifts a ban by itself when its time is over`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend) {
                $0.ban = .init(failures: 1, within: .seconds(60), duration: .milliseconds(1500))
            }
            try Self.misbehave(stage, from: [127, 0, 7, 1])
            #expect(await eventually(within: 20) { stage.proxy.bans.count == 1 })
            #expect(await eventually(within: 20) { stage.events.named(.banLifted).count == 1 })
            #expect(stage.events.named(.banLifted)[0].fields["cause"] == "expired")
            _ = try Self.session(stage, from: [127, 0, 7, 1])
            await stage.proxy.stop()
        }

        @Test func `bans no client that is only set up wrongly`() async throws {
            let backend = try TestBackend.echo()
            let expired = try Stage.authority.get().issue(name: "shop", validity: -7200...(-3600))
            var limits = ProxyLimits()
            limits.ban = .init(failures: 1, within: .seconds(60), duration: .seconds(600))
            let stage = try Stage(
                [
                    try Stage.listener(.postgres, backend: [backend.address]),
                    try Stage.listener(.redis, backend: [backend.address], name: "redis"),
                ], limits: limits)
            for identity in [try Stage.stranger.get(), try Stage.intern.get(), expired, nil] {
                let client = try? TestClient(stage.port, as: identity, .sslRequest)
                try? client?.send(startup())
                _ = try? client?.receiveAll()
            }
            // In clear; over HTTP, as health checks ask; and with nothing to say.
            for (port, words) in [
                (stage.port, startup()), (stage.port(of: "redis"), Array("PING\r\n".utf8)),
                (stage.port(of: "redis"), Array("GET / HTTP/1.1\r\n\r\n".utf8)), (stage.port, []),
            ] {
                let socket = try TestSocket(port: port)
                try socket.send(words)
                socket.endWriting()
                _ = try? socket.receiveAll()
            }
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 })
            #expect(stage.events.named(.connectionRefused).count >= 6)
            #expect(stage.proxy.bans.isEmpty && stage.events.named(.banBegan).isEmpty)
            await stage.proxy.stop()
        }
    }
}
