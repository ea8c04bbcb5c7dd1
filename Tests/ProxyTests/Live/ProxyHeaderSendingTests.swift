import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// `proxy-protocol: v2` towards the database.
    @Suite(.timeLimit(.minutes(2))) struct `A database that is told who its client is` {
        private static func stage(
            _ spoken: DatabaseProtocol, _ backend: SocketAddress, _ security: BackendTLS? = nil,
            _ health: BackendHealthRules? = nil
        ) throws -> Stage {
            let listener = try Stage.listener(spoken, backend: [backend]) {
                $0.sendsProxyHeader = true
                $0.backendTLS = security
                $0.health = health
            }
            return try Stage([listener])
        }

        /// Notes the header, then what else has come in the first place.
        private static func backend(
            _ serve: @escaping @Sendable (TestSocket, TestBackend) throws -> Void
        ) throws -> TestBackend {
            try TestBackend { socket, backend in
                backend.note(try socket.takeProxyHeader().bytes)
                try serve(socket, backend)
            }
        }

        private static func text(_ fields: [ProxyHeader.Field], _ type: UInt8) -> String? {
            fields.first { $0.type == type }.map { String(decoding: $0.value, as: UTF8.self) }
        }

        private static func header(_ bytes: [UInt8]?) throws -> ProxyHeader {
            try ProxyHeader(decoding: try #require(bytes))
        }

        @Test(arguments: [TLSVersion.tls12, .tls13])
        func `hears where it is, and of its TLS, before its first byte`(_ version: TLSVersion) async throws {
            let backend = try Self.backend { socket, _ in try socket.send(try socket.receive()) }
            let stage = try Self.stage(.tcp, backend.address)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct, maximum: version)
            try client.send("hello")
            #expect(try client.receive(count: 5) == Array("hello".utf8))
            let header = try Self.header(backend.noted.first)
            let accepted = try #require(stage.events.named(.connectionAccepted).first)
            guard case .client(let from, let at) = header.origin else {
                Issue.record("\(header)")
                return
            }
            #expect(accepted.fields["peer.address"] == .string(from.description))
            #expect(at == .ipv4([127, 0, 0, 1], port: stage.port))
            #expect(Self.text(header.fields, 0x02) == "localhost")
            #expect(
                accepted.fields["connection"] == Self.text(header.fields, 0x05).flatMap(Int.init).map { .count($0) })
            let tls = try #require(header.fields.first { $0.type == 0x20 }).value
            #expect(tls.prefix(5) == [7, 0, 0, 0, 0])
            let parts = try ProxyHeader.fields(in: tls[5...])
            #expect(parts.map(\.type) == [0x21, 0x22, 0x23, 0x24, 0x25])
            #expect(Self.text(parts, 0x21) == version.rawValue)
            #expect(Self.text(parts, 0x22) == "shop")
            #expect(accepted.fields["tls.cipher"] == Self.text(parts, 0x23).map { .string($0) })
            #expect(Self.text(parts, 0x24) == "ecdsa-with-SHA256" && Self.text(parts, 0x25) == "EC256")
            await stage.proxy.stop()
        }

        @Test func `hears it of a client that is silent, too`() async throws {
            let backend = try Self.backend { socket, _ in try socket.send(Array("ready".utf8)) }
            let stage = try Self.stage(.tcp, backend.address)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            #expect(try client.receive(count: 5) == Array("ready".utf8))
            await stage.proxy.stop()
        }

        @Test func `hears it before SSLRequest, before TLS, and before a StartupMessage in clear`() async throws {
            let context = try TestTLSServer.context(try Stage.server.get())
            let verify = `A connection with TLS to the database`.verify
            let asked = try Self.backend { socket, backend in
                backend.note(try socket.take(8))
                try socket.send([UInt8(ascii: "S")])
                let server = try TestTLSServer(socket, context)
                try server.send(try server.receive())
            }
            let direct = try Self.backend { socket, _ in
                let server = try TestTLSServer(socket, context)
                try server.send(try server.receive())
            }
            let clear = try Self.backend { socket, _ in try socket.send(try socket.receive()) }
            let scenes: [(DatabaseProtocol, TestBackend, BackendTLS?)] = [
                (.postgres, asked, verify), (.redis, direct, verify), (.postgres, clear, nil),
            ]
            for (spoken, backend, security) in scenes {
                let stage = try Self.stage(spoken, backend.address, security)
                let client = try TestClient(
                    stage.port, as: try Stage.client.get(), spoken == .postgres ? .sslRequest : .direct)
                try client.send(startup())
                #expect(try client.receive(count: startup().count) == startup())
                #expect(backend.count == 1)
                await stage.proxy.stop()
            }
            #expect(asked.noted.last == [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
        }

        @Test func `hears of who asks to cancel`() async throws {
            let key: [UInt8] = [0, 0, 0, 9, 1, 2, 3, 4]
            let request = [0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E] + key
            let backend = try Self.backend { socket, backend in
                let first = try socket.receive()
                if first == request { return backend.note(first) }
                try socket.send([UInt8(ascii: "K"), 0, 0, 0, 12] + key + [UInt8(ascii: "Z"), 0, 0, 0, 5, 0x49])
                _ = try socket.receiveAll()
            }
            let stage = try Self.stage(.postgres, backend.address)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            _ = try client.receive(count: 19)
            let inside = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try inside.send(request)
            #expect(await eventually(within: 20) { backend.noted.count == 3 && backend.noted[2] == request })
            let clear = try TestSocket(port: stage.port)
            try clear.send(request)
            #expect(await eventually(within: 20) { backend.noted.count == 5 && backend.noted[4] == request })
            let headers = try [0, 1, 3].map { try Self.header(backend.noted[$0]) }
            #expect(Set(headers.compactMap { Self.text($0.fields, 0x05) }).count == 3)
            #expect(headers.map { $0.fields.contains { $0.type == 0x20 } } == [true, true, false])
            for (header, event) in zip(headers.dropFirst(), stage.events.named(.cancelForwarded)) {
                guard case .client(let from, _) = header.origin else { continue }
                #expect(event.fields["peer.address"] == .string(from.description))
            }
            #expect(stage.events.named(.cancelForwarded).count == 2)
            await stage.proxy.stop()
        }

        @Test(arguments: [DatabaseProtocol.redis, .tcp, .postgres])
        func `hears of probes that they are nobody's`(_ spoken: DatabaseProtocol) async throws {
            let backend = try Self.backend { socket, backend in
                backend.note(try socket.receive())
                try socket.send(Array((spoken == .redis ? "+PONG\r\n" : "N").utf8))
                _ = try socket.receiveAll()
            }
            let stage = try Self.stage(spoken, backend.address, nil, BackendHealthRules(every: .seconds(1)))
            #expect(
                await eventually(within: 20) {
                    stage.proxy.listeners.first?.backendHealth.findings.map(\.state) == [.up]
                })
            #expect(await eventually(within: 20) { backend.noted.first == ProxyHeader(origin: .local).bytes })
            await stage.proxy.stop()
        }

        @Test func `may be a real HAProxy`() async throws {
            let told = try await TestHAProxy.told()
            let stage = try Self.stage(.tcp, told.address)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.send("GET / HTTP/1.0\r\n\r\n")
            let answer = String(decoding: try client.receiveAll(), as: UTF8.self)
            let accepted = try #require(stage.events.named(.connectionAccepted).first)
            guard case .string(let from)? = accepted.fields["peer.address"],
                case .integer(let number)? = accepted.fields["connection"]
            else {
                Issue.record("\(accepted)")
                return
            }
            let expected = "<\(from) at 127.0.0.1:\(stage.port), SNI localhost, number \(number)>"
            #expect(answer.hasPrefix("HTTP/1") && answer.contains(expected), "\(answer)")
            await stage.proxy.stop()
        }
    }
}
