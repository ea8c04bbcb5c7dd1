import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Peers that lie, stall and vanish, against a live proxy.
    @Suite(.timeLimit(.minutes(3))) struct `A hostile peer of the proxy` {
        private static let ssl: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]

        @Test func `costs one connection wherever it stops, and leaves nothing behind`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perAddress.rate = nil
            let stage = try Stage(
                [
                    try Stage.listener(.postgres, backend: [backend.address], name: "pg"),
                    try Stage.listener(.tcp, backend: [backend.address], name: "raw"),
                ], limits: limits)
            _ = try Stage.client.get()
            let hello = try clientHello()
            let shapes: [[UInt8]] = [
                Self.ssl, Self.ssl + hello, hello, startup(), [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30] + Self.ssl,
                Array("GET / HTTP/1.1\r\n\r\n".utf8), [0xFF, 0xFF, 0xFF, 0xFF, 0, 3, 0, 0],
                [0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2], [UInt8](repeating: 0x16, count: 5000),
            ]
            for name in ["pg", "raw"] {
                for shape in shapes {
                    for cut in Set([0, 1, 4, 7, 8, 9, 12, shape.count / 2, shape.count - 1, shape.count])
                    where cut <= shape.count {
                        for isReset in [true, false] {
                            let socket = try TestSocket(port: stage.port(of: name))
                            // A peer that has been cut off already may not take the rest.
                            try? socket.send(Array(shape[..<cut]))
                            if isReset { socket.resetOnClose() }
                        }
                    }
                }
            }
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 && stage.open == 0 })
            #expect(await eventually(within: 20) { proxySockets(stage, backend) == 0 })
            #expect(backend.count == 0)
            let client = try TestClient(stage.port(of: "pg"), as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            await stage.proxy.stop()
        }

        @Test func `that replaces its key without end is cut, counted and audited`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            client.replacesKeyAlways()
            var sent = 0
            do {
                while sent < 1_000_000 {
                    try client.send([1])
                    sent += 1
                }
            } catch {
                #expect(sent > 1000)
            }
            #expect(sent < 1_000_000)
            #expect(await eventually(within: 20) { (try? stage.counters().keyUpdateFloods.value) == 1 })
            #expect(
                await eventually(within: 20) {
                    stage.events.named(.connectionClosed).contains { $0.fields["reason"] == "key-update-flood" }
                })
            #expect(await eventually(within: 20) { stage.open == 0 })
            await stage.proxy.stop()
        }

        /// What a real client sends first.
        private func clientHello() throws -> [UInt8] {
            let context = try TLSContext.client(identity: nil, trust: nil, serverName: "localhost")
            let out = LaneBuffer(capacity: 16 << 10)
            let session = TLSSession(context, TLSTransport(cipherIn: LaneBuffer(capacity: 4096), cipherOut: out))
            #expect(session.handshake() == .wantsInput)
            return out.bytes()
        }

        @Test func `that vanishes at any byte of its handshake leaves nothing behind`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perAddress.rate = nil
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
            let identity = try Stage.client.get()
            var cut = 1
            var hasFinished = false
            while !hasFinished {
                do {
                    let client = try TestClient(stage.port, as: identity, .sslRequest, leavesAfter: cut)
                    // The StartupMessage, cut too, until a whole one gets through.
                    try client.send(startup())
                    #expect(try client.receive(count: startup().count) == startup())
                    hasFinished = true
                } catch is TestClient.Left {
                    cut += cut < 40 ? 1 : 37
                }
            }
            #expect(cut > 1000, "a handshake with a certificate has more bytes than \(cut)")
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 && stage.open == 0 })
            #expect(await eventually(within: 20) { proxySockets(stage, backend) == 0 })
            #expect(backend.count == 1)
            await stage.proxy.stop()
        }

        @Test func `that sends garbage behind the end of TLS harms no other client of its lane`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])])
            for _ in 0..<20 {
                do {
                    let hostile = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
                    try hostile.endTLS(thenSends: [0x16, 3, 1, 0xFF] + [UInt8](repeating: 7, count: 2000))
                }
                let honest = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
                try honest.send(startup())
                #expect(try honest.receive(count: startup().count) == startup())
            }
            #expect(stage.refused(.plaintext) == 0)
            await stage.proxy.stop()
        }

        @Test func `makes room on whichever lane it sits`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.unauthenticated = 6
            let stage = try Stage(
                [try Stage.listener(.postgres, backend: [backend.address])], limits: limits, handshakeLanes: 3)
            var silent: [TestSocket] = []
            for _ in 0..<18 {
                silent.append(try TestSocket(port: stage.port))
                let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
                try client.send(startup())
                #expect(try client.receive(count: startup().count) == startup())
            }
            // Each honest newcomer took a place, and left it when it was proven.
            #expect(await eventually(within: 20) { stage.open == 0 && stage.unauthenticated == 5 })
            #expect(await eventually(within: 20) { stage.refused(.evicted) == 13 })
            for socket in silent.prefix(13) { #expect(try socket.receive() == []) }
            await stage.proxy.stop()
        }

        @Test func `cannot take the last descriptor, however many connections it holds`() async throws {
            let backend = try TestBackend.echo()
            _ = (try Stage.server.get(), try Stage.client.get())
            var usual = rlimit()
            getrlimit(Self.descriptorLimit, &usual)
            var scarce = usual
            scarce.rlim_cur = 400
            setrlimit(Self.descriptorLimit, &scarce)
            defer { setrlimit(Self.descriptorLimit, &usual) }
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
            #expect(stage.health.snapshot.reasons.contains { $0.code == "DESCRIPTORS_SCARCE" })
            let script = """
                import socket, sys
                held = [socket.create_connection(('127.0.0.1', \(stage.port))) for _ in range(350)]
                print('held', flush=True)
                sys.stdin.readline()
                """
            let hoarder = try Subprocess("python3", ["-c", script], keepsInputOpen: true)
            try await hoarder.waitForLine(containing: "held")
            #expect(await eventually(within: 20) { stage.refused(.evicted) >= 300 })
            #expect(stage.refused(.noDescriptors) == 0)
            #expect(stage.unauthenticated <= 36)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            try hoarder.endInput()
            hoarder.signal(SIGKILL)
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 })
            await stage.proxy.stop()
        }

        private static let descriptorLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

        @Test func `that says nothing is closed in favour of a newcomer`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.unauthenticated = 8
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
            let silent = try (0..<8).map { _ in try TestSocket(port: stage.port) }
            #expect(await eventually(within: 20) { stage.unauthenticated == 8 })
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            #expect(await eventually(within: 20) { stage.refused(.evicted) == 1 })
            #expect(try silent[0].receive() == [])
            #expect(stage.unauthenticated == 7)
            await stage.proxy.stop()
        }

        @Test func `is cut off when its whole beginning takes too long, however it drips`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Stage.listener(.postgres, backend: [backend.address]) { $0.timeouts.handshake = .milliseconds(400) }
            ])
            let start = ContinuousClock.now
            let socket = try TestSocket(port: stage.port)
            try socket.send(Self.ssl)
            #expect(try socket.receive() == [UInt8(ascii: "S")])
            try socket.send([0x16])
            #expect((try? socket.receive()) ?? [] == [])
            let time = start.duration(to: .now)
            #expect(time >= .milliseconds(390) && time < .seconds(5))
            #expect(await eventually(within: 20) { stage.refused(.handshakeTimeout) == 1 })
            await stage.proxy.stop()
        }

        @Test func `that is silent after its handshake is a stranger still`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Stage.listener(.postgres, backend: [backend.address]) { $0.timeouts.handshake = .milliseconds(600) }
            ])
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            #expect(stage.unauthenticated == 1 && stage.open == 0)
            #expect(throws: (any Error).self) { if try client.receive().isEmpty { throw TestSupportError("ended") } }
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        @Test func `in clear text is told nothing where TLS comes first`() async throws {
            let backend = try TestBackend.echo()
            for kind in DatabaseProtocol.allCases where kind.startsWithTLS {
                let stage = try Stage([try Stage.listener(kind, backend: [backend.address])])
                let socket = try TestSocket(port: stage.port)
                try socket.send(Array("PING\r\n".utf8))
                #expect((try? socket.receiveAll()) ?? [] == [])
                #expect(await eventually(within: 20) { stage.refused(.plaintext) == 1 })
                await stage.proxy.stop()
            }
            #expect(backend.count == 0)
        }

        @Test func `that floods fills no audit log, and what was left out is counted`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perAddress.rate = nil
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])], limits: limits)
            let attempts = 600
            for _ in 0..<attempts {
                let socket = try TestSocket(port: stage.port)
                try? socket.send([0x47])
            }
            #expect(await eventually(within: 20) { stage.refused(.plaintext) + stage.refused(.clientLeft) == attempts })
            let told = {
                stage.events.named(.connectionRefused).reduce(0) { total, event in
                    guard case .integer(let count)? = event.fields["count"] else { return total + 1 }
                    return total + Int(count)
                }
            }
            #expect(await eventually(within: 20) { told() == attempts })
            #expect(stage.events.named(.connectionRefused).count < attempts / 4)
            let sum = try #require(stage.events.named(.connectionRefused).first { $0.fields["count"] != nil })
            #expect(sum.fields["network"] == "127.0.0.0/24" && sum.fields["listener"] == "db")
            await stage.proxy.stop()
        }

        @Test func `at the backend that resets or vanishes ends one connection`() async throws {
            let backend = try TestBackend { socket, _ in
                let bytes = try socket.receive()
                try socket.send(Array("partial".utf8))
                if bytes.first == UInt8(ascii: "r") { socket.resetOnClose() }
            }
            let stage = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            for text in ["r", "v"] {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send(text)
                #expect((try? client.receive()).map { $0.isEmpty || $0 == Array("partial".utf8) } ?? true)
            }
            #expect(
                await eventually(within: 20) { stage.open == 0 && proxySockets(stage, backend) == 0 })
            await stage.proxy.stop()
        }
    }
}
