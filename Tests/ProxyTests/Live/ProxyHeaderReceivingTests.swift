import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// `accept-proxy-protocol` of a listener: the tests' own clients are at 127.0.0.1.
    @Suite(.timeLimit(.minutes(2))) struct `A proxy before a listener` {
        private static func stage(
            _ backend: TestBackend, _ spoken: DatabaseProtocol = .tcp, from networks: [String] = ["127.0.0.0/8"],
            limits: ProxyLimits = ProxyLimits(), timeout: Duration = .seconds(10)
        ) throws -> Stage {
            let listener = try Stage.listener(spoken, backend: [backend.address]) {
                $0.announcingProxies = try networks.map { try #require(PeerNetwork($0)) }
                $0.timeouts.handshake = timeout
            }
            return try Stage([listener], limits: limits)
        }

        private static func header(_ address: String) throws -> ProxyHeader {
            let server = SocketAddress.ipv4([198, 51, 100, 7], port: 5433)
            return ProxyHeader(origin: .client(try #require(SocketAddress(address)), at: server))
        }

        private static func client(_ stage: Stage, from address: String) throws -> TestClient {
            try TestClient(stage.port, as: try Stage.client.get(), .direct, header: try header(address))
        }

        private static func isServed(_ stage: Stage, from address: String) -> Bool {
            guard let client = try? client(stage, from: address) else { return false }
            try? client.send("x")
            return (try? client.receive(count: 1)) == [UInt8(ascii: "x")]
        }

        /// Waits for the end of a connection on which `bytes` were sent.
        private static func send(_ bytes: [UInt8], to stage: Stage) throws {
            let socket = try TestSocket(port: stage.port)
            try socket.send(bytes)
            _ = try? socket.receiveAll()
        }

        @Test(arguments: ["192.0.2.1:5555", "[2001:db8::1]:6666"])
        func `says who the client is, and everything goes by that`(address: String) async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend, .postgres)
            let client = try TestClient(
                stage.port, as: try Stage.client.get(), .sslRequest, header: try Self.header(address))
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            let summary = try #require(await stage.proxy.connections().first)
            #expect(summary.peerAddress == address)
            #expect(summary.carrierAddress?.hasPrefix("127.0.0.1:") == true)
            let intern = try TestClient(
                stage.port, as: try Stage.intern.get(), .sslRequest, header: try Self.header(address))
            try intern.send(startup())
            _ = try intern.receiveAll()
            for name in [AuditEventName.connectionAccepted, .connectionRefused] {
                let fields = try #require(stage.events.named(name).first).fields
                #expect(fields["peer.address"] == .string(address))
                #expect(fields["carrier.address"] != nil && fields["carrier.address"] != fields["peer.address"])
            }
            await stage.proxy.stop()
        }

        @Test func `may put the header and the client's first bytes into one packet, and cut it anywhere`() async throws
        {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend, .postgres)
            let request: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
            let header = try Self.header("192.0.2.1:5555").bytes
            let together = try TestSocket(port: stage.port)
            try together.send(header + request)
            #expect(try together.take(1) == [UInt8(ascii: "S")])
            let apart = try TestSocket(port: stage.port)
            for byte in header + request { try apart.send([byte]) }
            #expect(try apart.take(1) == [UInt8(ascii: "S")])
            // What is smuggled behind the request in clear is found all the same.
            try Self.send(header + request + startup(), to: stage)
            #expect(await eventually(within: 20) { stage.refused(.stuffedPreamble) == 1 })
            // A second header is the client's, and garbage.
            try Self.send(header + header, to: stage)
            #expect(await eventually(within: 20) { stage.refused(.malformedPreamble) == 1 })
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        /// Each at a listener of its own: what comes within a second of another of its kind is only counted.
        @Test func `is refused without a header, with a wrong one, and with one of version 1`() async throws {
            var damaged = try Self.header("192.0.2.1:5555").bytes
            damaged[16] = 10
            let cases: [(bytes: [UInt8], reason: RefusalReason, words: String)] = [
                (
                    Array("PROXY TCP4 192.0.2.1 198.51.100.7 5555 5433\r\n".utf8), .noProxyHeader,
                    "version 1 is not spoken here"
                ),
                (damaged, .badProxyHeader, "its checksum"),
                (ProxyHeader.signature + [0x21, 0, 0, 0], .badProxyHeader, "without saying which"),
                // Some of it, and then nothing.
                (Array(damaged.prefix(20)), .noProxyHeader, ""),
                // A client that knows of none.
                ([], .noProxyHeader, "no PROXY header came"),
            ]
            for (bytes, reason, words) in cases {
                let backend = try TestBackend.echo()
                let stage = try Self.stage(backend, timeout: .seconds(2))
                if bytes.isEmpty {
                    #expect(throws: (any Error).self) {
                        let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                        try client.send("x")
                        _ = try client.receive()
                    }
                } else {
                    try Self.send(bytes, to: stage)
                }
                #expect(await eventually(within: 20) { stage.refused(reason) == 1 }, "\(words)")
                let details = stage.refusalDetails
                #expect(words.isEmpty || details.contains { $0.contains(words) }, "\(details), not \(words)")
                #expect(backend.count == 0 && stage.open == 0)
                await stage.proxy.stop()
            }
        }

        @Test func `that is not listed can say nothing, and its connections are its own`() async throws {
            let backend = try TestBackend.echo()
            for (spoken, reason) in [(DatabaseProtocol.tcp, RefusalReason.plaintext), (.postgres, .malformedPreamble)] {
                let stage = try Self.stage(backend, spoken, from: ["192.0.2.0/24", "::/0"])
                try Self.send(try Self.header("192.0.2.1:5555").bytes, to: stage)
                #expect(await eventually(within: 20) { stage.refused(reason) == 1 })
                let refused = try #require(stage.events.named(.connectionRefused).first).fields
                #expect(refused["carrier.address"] == nil && refused["peer.address"] != "192.0.2.1:5555")
                #expect(backend.count == 0)
                await stage.proxy.stop()
            }
            let stage = try Self.stage(backend, from: ["192.0.2.0/24"])
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.send("x")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            #expect(await stage.proxy.connections().first?.carrierAddress == nil)
            await stage.proxy.stop()
        }

        @Test func `may connect for itself, and is itself then`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            let client = try TestClient(
                stage.port, as: try Stage.client.get(), .direct, header: ProxyHeader(origin: .local))
            try client.send("x")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            let summary = try #require(await stage.proxy.connections().first)
            #expect(summary.peerAddress.hasPrefix("127.0.0.1:") && summary.carrierAddress == nil)
            await stage.proxy.stop()
        }

        @Test func `is no limit for its clients, and each of them has its own`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perAddress = ProxyLimits.PerKey(connections: 1, unauthenticated: 1, rate: 3)
            let stage = try Self.stage(backend, limits: limits)
            let clients = try (1...8).map { try Self.client(stage, from: "192.0.2.\($0):5555") }
            for client in clients {
                try client.send("x")
                #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            }
            #expect(!Self.isServed(stage, from: "192.0.2.1:6666"))
            #expect(await eventually(within: 20) { stage.refused(.addressConnectionLimit) == 1 })
            let hasty = try (0..<5).map { _ in
                let socket = try TestSocket(port: stage.port)
                try socket.send(try Self.header("192.0.2.99:7777").bytes)
                return socket
            }
            #expect(await eventually(within: 20) { stage.refused(.addressRate) >= 1 })
            withExtendedLifetime(hasty) {}
            #expect(stage.open == 8)
            await stage.proxy.stop()
        }

        @Test func `is not banned with its client, and its other clients are not`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.ban = ProxyLimits.Ban(failures: 2, within: .seconds(60), duration: .seconds(60))
            let stage = try Self.stage(backend, limits: limits)
            let garbage: [UInt8] = [0x16, 3, 1, 0, 4, 9, 9, 9, 9]
            for _ in 0..<2 { try Self.send(try Self.header("192.0.2.66:1").bytes + garbage, to: stage) }
            // Nor for what it does wrong itself.
            for _ in 0..<3 { try Self.send([0x41], to: stage) }
            #expect(
                await eventually(within: 20) { stage.refused(.tlsGarbage) == 2 && stage.refused(.noProxyHeader) == 3 })
            #expect(!Self.isServed(stage, from: "192.0.2.66:2"))
            #expect(await eventually(within: 20) { stage.refused(.banned) == 1 })
            #expect(Self.isServed(stage, from: "192.0.2.67:1"))
            await stage.proxy.stop()
        }

        @Test func `says for whom it brings a CancelRequest`() async throws {
            let key: [UInt8] = [0, 0, 0, 9, 1, 2, 3, 4]
            let request = [0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E] + key
            let backend = try TestBackend { socket, backend in
                let first = try socket.receive()
                if first == request { return backend.note(first) }
                try socket.send([UInt8(ascii: "K"), 0, 0, 0, 12] + key + [UInt8(ascii: "Z"), 0, 0, 0, 5, 0x49])
                _ = try socket.receiveAll()
            }
            let stage = try Self.stage(backend, .postgres)
            let client = try TestClient(
                stage.port, as: try Stage.client.get(), .sslRequest, header: try Self.header("192.0.2.1:5555"))
            try client.send(startup())
            _ = try client.receive(count: 19)
            try Self.send(try Self.header("192.0.2.2:5555").bytes + request, to: stage)
            try Self.send(ProxyHeader(origin: .local).bytes + request, to: stage)
            #expect(await eventually(within: 20) { stage.events.named(.cancelDropped).count == 2 })
            #expect(backend.noted == [])
            // Nothing but the host counts, in whichever form.
            try Self.send(try Self.header("[::ffff:192.0.2.1]:7777").bytes + request, to: stage)
            #expect(await eventually(within: 20) { backend.noted == [request] })
            #expect(stage.events.named(.cancelForwarded).first?.fields["peer.address"] == "192.0.2.1:7777")
            await stage.proxy.stop()
        }

        /// The tests' machine has every address of 127.0.0.0/8.
        @Test(arguments: [false, true])
        func `has its client seen by the database itself, where that is wanted`(_ isTransparent: Bool) async throws {
            let backend = try TestBackend { socket, backend in
                backend.note(Array((socket.peerAddress ?? "").utf8))
                try socket.send(try socket.receive())
            }
            let listener = try Stage.listener(.tcp, backend: [backend.address]) {
                $0.announcingProxies = try [#require(PeerNetwork("127.0.0.0/8"))]
                $0.isTransparent = isTransparent
            }
            let stage = try Stage([listener])
            #expect(Self.isServed(stage, from: "127.7.7.7:5555"))
            let expected = isTransparent ? "127.7.7.7:" : "127.0.0.1:"
            #expect(backend.noted.count == 1 && backend.noted[0].starts(with: Array(expected.utf8)))
            #expect(Self.isServed(stage, from: "[2001:db8::1]:5555") != isTransparent)
            #expect(await eventually(within: 20) { stage.refused(.backendDown) == (isTransparent ? 1 : 0) })
            await stage.proxy.stop()
        }

        @Test func `does not take its database down by a client whose own address leads nowhere`() async throws {
            let backend = try TestBackend.echo()
            let listener = try Stage.listener(.tcp, backend: [backend.address]) {
                $0.announcingProxies = try [#require(PeerNetwork("127.0.0.0/8"))]
                $0.isTransparent = true
                $0.health = BackendHealthRules(every: .seconds(3600))
            }
            let stage = try Stage([listener])
            for _ in 0..<6 { #expect(!Self.isServed(stage, from: "[2001:db8::1]:5555")) }
            #expect(await eventually(within: 20) { stage.refused(.backendDown) == 6 })
            #expect(Self.isServed(stage, from: "127.7.7.7:5555"), "the others are served")
            await stage.proxy.stop()
        }

        @Test func `may be a real HAProxy`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            let proxy = try await TestHAProxy.telling(stage.port)
            let client = try TestClient(proxy.port, as: try Stage.client.get(), .direct)
            try client.send("hello")
            #expect(try client.receive(count: 5) == Array("hello".utf8))
            let own = try #require(client.localAddress)
            let summary = try #require(await stage.proxy.connections().first)
            #expect(summary.peerAddress == own)
            #expect(summary.carrierAddress != nil && summary.carrierAddress != own)
            await stage.proxy.stop()
        }

        /// What one nodeguard tells the other of its client.
        @Test func `may be another of its kind`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(backend)
            let front = try Stage([
                try Stage.listener(.tcp, backend: [.ipv4([127, 0, 0, 1], port: stage.port)]) {
                    $0.sendsProxyHeader = true
                    $0.backendTLS = `A connection with TLS to the database`.verify
                }
            ])
            // The node's certificate must be one that the second lets in.
            try front.publish(
                try Stage.authority.get().issue(
                    name: "localhost", dnsNames: ["localhost"], uris: ["spiffe://c/app/node"],
                    usage: [.server, .client]))
            let client = try TestClient(front.port, as: try Stage.client.get(), .direct)
            try client.send("hello")
            #expect(try client.receive(count: 5) == Array("hello".utf8))
            let first = await front.proxy.connections().first
            let second = await stage.proxy.connections().first
            #expect(first?.peerAddress == second?.peerAddress && first != nil)
            #expect(first?.carrierAddress == nil && second?.carrierAddress != nil)
            await front.proxy.stop()
            await stage.proxy.stop()
        }
    }
}
