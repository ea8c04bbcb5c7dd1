import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// The proxy's own life: several listeners, new certificates, draining, stopping, and what it says of itself.
    @Suite(.timeLimit(.minutes(2))) struct `The proxy` {
        @Test func `serves many ports at once, each by its own rules and protocol`() async throws {
            let backend = try TestBackend.echo()
            let kinds: [(String, DatabaseProtocol)] = [
                ("a", .tcp), ("b", .redis), ("c", .cassandra), ("d", .postgres), ("e", .tcp),
            ]
            let stage = try Stage(
                try kinds.map { name, kind in
                    try Stage.listener(kind, backend: [backend.address], name: name) {
                        if name == "e" { $0.policy = AccessPolicy(allow: [try AccessRule([.commonName: ["intern"]])]) }
                    }
                })
            let ports = Set(kinds.map { stage.port(of: $0.0) })
            #expect(ports.count == kinds.count && !ports.contains(0))
            for (name, kind) in kinds where name != "e" {
                let client = try TestClient(
                    stage.port(of: name), as: try Stage.client.get(), kind == .postgres ? .sslRequest : .direct)
                let words = kind == .postgres ? startup() : Array("hello".utf8)
                try client.send(words)
                #expect(try client.receive(count: words.count) == words)
            }
            let intern = try TestClient(stage.port(of: "e"), as: try Stage.intern.get(), .direct)
            try intern.send("x")
            #expect(try intern.receive(count: 1) == [UInt8(ascii: "x")])
            let refused = try TestClient(stage.port(of: "e"), as: try Stage.client.get(), .direct)
            #expect(try refused.receiveAll() == [])
            await stage.proxy.stop()
        }

        @Test func `refuses in RESP and in CQL, and answers the request that was made`() async throws {
            let backend = try TestBackend.echo()
            backend.stop()
            let stage = try Stage([
                try Stage.listener(.redis, backend: [backend.address], name: "redis"),
                try Stage.listener(.cassandra, backend: [backend.address], name: "cql"),
            ])
            let ping = Array("*1\r\n$4\r\nPING\r\n".utf8)
            let options: [UInt8] = [0x04, 0, 0x00, 0x2A, 0x05, 0, 0, 0, 0]
            for (identity, redisWord, code) in [
                (try Stage.intern.get(), "-NOPERM ", [0x01, 0x00] as [UInt8]),
                (try Stage.client.get(), "-ERR ", [0x10, 0x02]),
            ] {
                let redis = try TestClient(stage.port(of: "redis"), as: identity, .direct)
                try redis.send(ping)
                let line = String(decoding: try redis.receiveAll(), as: UTF8.self)
                #expect(line.hasPrefix(redisWord) && line.hasSuffix("\r\n"))
                let cql = try TestClient(stage.port(of: "cql"), as: identity, .direct)
                try cql.send(options)
                let frame = try cql.receiveAll()
                #expect(Array(frame.prefix(5)) == [0x84, 0, 0x00, 0x2A, 0x00])
                #expect(Array(frame.dropFirst(11).prefix(2)) == code)
            }
            await stage.proxy.stop()
        }

        @Test
        func `adopts new trust for new handshakes, and keeps the old certificate when the new one fails its test`()
            async throws
        {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let old = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try old.send("x")
            _ = try old.receive(count: 1)
            let expired = try Stage.authority.get().issue(
                name: "localhost", dnsNames: ["localhost"], usage: [.server, .client], validity: -7200 ... -3600)
            try stage.publish(expired)
            #expect(stage.health.snapshot.reasons.contains { $0.code == "LISTENER_CERTIFICATE_REFUSED" })
            let same = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try same.send("y")
            _ = try same.receive(count: 1)
            try stage.publish()
            #expect(!stage.health.snapshot.reasons.contains { $0.code == "LISTENER_CERTIFICATE_REFUSED" })
            let both =
                try Certificate.parsePEM(try Stage.authority.get().root.certificatePEM)
                + Certificate.parsePEM(try Stage.foreign.get().root.certificatePEM)
            stage.proxy.publish(trust: try TrustAnchors(both))
            let stranger = try TestClient(stage.port, as: try Stage.stranger.get(), .direct)
            #expect(try stranger.receiveAll() == [], "trusted now, but no rule allows it")
            #expect(await eventually(within: 20) { stage.refused(.noRule) == 1 })
            try old.send("z")
            #expect(try old.receive(count: 1) == [UInt8(ascii: "z")])
            await stage.proxy.stop()
        }

        @Test func `drains: no new clients, and the old ones may finish until the deadline`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let port = stage.port
            let client = try TestClient(port, as: try Stage.client.get(), .direct)
            try client.send("x")
            _ = try client.receive(count: 1)
            async let drained: Void = stage.proxy.drain(deadline: .seconds(20))
            #expect(await eventually(within: 20) { (try? TestSocket(port: port)) == nil })
            try client.send("y")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "y")])
            try client.endWriting()
            _ = try client.receiveAll()
            let start = ContinuousClock.now
            await drained
            #expect(start.duration(to: .now) < .seconds(15), "the last client had gone")
            try stage.proxy.undrain()
            let again = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try again.send("z")
            #expect(try again.receive(count: 1) == [UInt8(ascii: "z")])
            await stage.proxy.drain(deadline: .milliseconds(200))
            #expect(await eventually(within: 20) { stage.open == 0 })
            #expect(stage.events.named(.connectionClosed).last?.fields["reason"] == "drained")
            await stage.proxy.stop()
        }

        @Test func `ends those that are left one after the other over the last part of a drain`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let clients = try (0..<40).map { _ in
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send("x")
                _ = try client.receive(count: 1)
                return client
            }
            let start = ContinuousClock.now
            async let drained: Void = stage.proxy.drain(deadline: .seconds(3), spread: .seconds(2))
            var open: [Int] = []
            #expect(await eventually(within: 20) { stage.open < 40 })
            #expect(ContinuousClock.now - start > .milliseconds(900), "nobody is ended before the last part")
            while stage.open > 0 {
                if open.last != stage.open { open.append(stage.open) }
                await Task.yield()
            }
            await drained
            #expect(open.count >= 10, "not all at once: \(open)")
            for client in clients { #expect(try client.receive() == [], "with the end of TLS") }
            #expect(stage.events.named(.connectionClosed).allSatisfy { $0.fields["reason"] == "drained" })
            await stage.proxy.stop()
        }

        @Test func `stops and leaves no descriptor behind`() async throws {
            let backend = try TestBackend { socket, _ in _ = try socket.receiveAll() }
            // Made before counting: each takes a program, whose pipes Foundation closes late.
            _ = (try Stage.server.get(), try Stage.client.get())
            let before = laneDescriptors()
            do {
                let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                let silent = try TestSocket(port: stage.port)
                #expect(await eventually(within: 20) { stage.open == 1 && stage.unauthenticated == 1 })
                await stage.proxy.stop()
                #expect(throws: (any Error).self) {
                    if try client.receive().isEmpty { throw TestSupportError("ended") }
                }
                #expect((try? silent.receive()) ?? [] == [])
            }
            #expect(await eventually(within: 20) { laneDescriptors() <= before })
        }

        @Test func `names what is wrong with a listener before it binds anything`() throws {
            let mistaken = try Stage.listener(.postgres, backend: [.unix(path: "/tmp/.s.PGSQL.5432")])
            let error = #expect(throws: ProxyError.self) { _ = try Stage([mistaken], publishes: false) }
            #expect(error?.description.contains("trust") == true)
            let taken = try TestBackend.echo()
            let twice = try Stage.listener(.tcp, backend: [taken.address]) { $0.listen = [taken.address] }
            let bound = #expect(throws: ProxyError.self) { _ = try Stage([twice], publishes: false) }
            #expect(bound?.description.contains("listener db") == true)
        }

        @Test func `says of itself which certificate it serves and whom it refused`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let intern = try TestClient(stage.port, as: try Stage.intern.get(), .direct)
            #expect(try intern.receiveAll() == [])
            let serial = try #require(Certificate.parsePEM(try Stage.server.get().certificatePEM).first).serial
            let isSaid = await eventually(within: 20) {
                guard case .object(let proxy)? = stage.health.snapshot.sections["proxy"],
                    case .array(let listeners)? = proxy["listeners"], case .object(let listener)? = listeners.first
                else { return false }
                return listener["certificate"] == .string(serial) && listener["state"] == "open"
                    && listener["refused"] == .object(["no-rule": 1])
            }
            #expect(isSaid)
            #expect(stage.health.snapshot.isReady)
            #expect(stage.metrics.openMetricsText.contains("nodeguard_proxy_handshake_seconds_count"))
            await stage.proxy.stop()
        }
    }
}
