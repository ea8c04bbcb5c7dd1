import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Plain bytes in, mutual TLS out.
    @Suite(.timeLimit(.minutes(3))) struct `A tunnel` {
        static func bytes(_ count: Int, seed: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ seed) ^ ($0 >> 8)) }
        }

        private static let answer = bytes(700_000, seed: 77)

        /// As the first byte wants it: its client ends first, it ends first, or it sends back whatever comes.
        private static func service() throws -> TestBackend {
            try TestBackend { socket, backend in
                switch try socket.receive(1).first {
                case 1:
                    try socket.send(try socket.receiveAll().reversed())
                case 2:
                    try socket.send(answer)
                    socket.endWriting()
                    backend.note(try socket.receiveAll())
                default:
                    while true {
                        let bytes = try socket.receive()
                        if bytes.isEmpty { return }
                        try socket.send(bytes)
                    }
                }
            }
        }

        /// A node: what it serves behind its listener, and a tunnel to the other's.
        private static func node(serving service: TestBackend, on port: Int, to other: Int) throws -> Stage {
            try Stage([
                try Stage.listener(.tcp, backend: [service.address], name: "in") {
                    $0.listen = [.ipv4([127, 0, 0, 1], port: UInt16(port))]
                    $0.policy = AccessPolicy(allow: [try AccessRule([.dns: ["localhost"]])])
                },
                // By name, so it may have to try more than one address.
                try Stage.tunnel(.tcp, to: "localhost:\(other)"),
            ])
        }

        @Test func `at each of two nodes carries both ways, half-closed too, each byte as it was`() async throws {
            let services = [try Self.service(), try Self.service()]
            let ports = [try freePort(), try freePort()]
            let nodes = [
                try Self.node(serving: services[0], on: ports[0], to: ports[1]),
                try Self.node(serving: services[1], on: ports[1], to: ports[0]),
            ]
            let notes = Notes()
            for (index, node) in nodes.enumerated() {
                let port = node.port(of: "out")
                for number in 0..<12 {
                    Thread.detachNewThread {
                        let isGood = (try? Self.exchange(port, number)) == true
                        notes.add(isGood ? "good" : "bad \(index) \(number)")
                    }
                }
            }
            #expect(await eventually(within: 60) { notes.all.count == 24 })
            #expect(notes.all.allSatisfy { $0 == "good" }, "\(notes.all)")
            for (index, node) in nodes.enumerated() {
                #expect(await eventually(within: 20) { node.events.named(.connectionClosed).count == 24 })
                #expect(node.events.named(.connectionClosed).allSatisfy { $0.fields["reason"] == "finished" })
                // The relay is done when its socket has taken all; the service's thread may not have read it yet.
                let service = services[1 - index]
                #expect(await eventually(within: 20) { service.noted.count == 4 })
                let late = service.noted
                #expect(late.allSatisfy { $0 == Self.bytes(200_000, seed: 3) })
                let begun = node.events.named(.connectionAccepted).filter { $0.fields["tunnel"] == "out" }
                #expect(begun.count == 12)
                #expect(begun.allSatisfy { $0.fields["remote.subject"] == "CN=localhost" })
                #expect(
                    begun.allSatisfy { $0.fields["remote.address"] == .string("127.0.0.1:\(ports[1 - index])") })
                #expect(try node.counters("out").bytesReceived.value > 0 && node.counters("out").openCount == 0)
                #expect(node.metrics.openMetricsText.contains(#"nodeguard_proxy_bytes_total{tunnel="out""#))
                #expect(node.proxy.relays.allSatisfy { $0.figures.pinnedBytes == 0 && $0.figures.openCount == 0 })
            }
            for node in nodes { await node.proxy.stop() }
        }

        private static func exchange(_ port: UInt16, _ number: Int) throws -> Bool {
            let client = try TestSocket(port: port)
            switch number % 3 {
            case 0:
                let request = bytes(1 + number * 90_000, seed: number)
                try client.send([1] + request)
                client.endWriting()
                return try client.receiveAll() == request.reversed()
            case 1:
                try client.send([2])
                guard try client.receiveAll() == answer else { return false }
                try client.send(bytes(200_000, seed: 3))
                client.endWriting()
                return true
            default:
                try client.send([0])
                for round in 0..<12 {
                    let piece = bytes(Int.random(in: 1...60_000), seed: round)
                    try client.send(piece)
                    var back: [UInt8] = []
                    while back.count < piece.count { back += try client.receive() }
                    if back != piece { return false }
                }
                client.endWriting()
                return try client.receiveAll().isEmpty
            }
        }

        @Test func `lets slow readers hold back the other side, with little memory`() async throws {
            let expected = Self.bytes(12 << 20, seed: 1)
            let gate = DispatchSemaphore(value: 0)
            let notes = Notes()
            let backend = try TestBackend.secured(receiveBuffer: 64 << 10) { server, _ in
                gate.wait()
                notes.add(try server.receiveAll() == expected ? "all up" : "wrong")
                try server.send(expected)
                try server.endWriting()
            }
            let stage = try Stage([try Stage.tunnel(.tcp, to: backend.address.description)])
            let port = stage.port(of: "out")
            Thread.detachNewThread {
                guard let client = try? TestSocket(port: port, receiveBuffer: 16 << 10) else { return }
                try? client.send(expected)
                client.endWriting()
                gate.wait()
                notes.add((try? client.receiveAll()) == expected ? "all down" : "wrong")
            }
            let pinned = { stage.proxy.relays.reduce(0) { $0 + $1.figures.pinnedBytes } }
            for (index, expected) in [["all up"], ["all up", "all down"]].enumerated() {
                #expect(await eventually(within: 20) { pinned() > 0 }, "\(index)")
                #expect(pinned() < 2 << 20)
                gate.signal()
                #expect(await eventually(within: 30) { notes.all == expected }, "\(notes.all)")
            }
            #expect(await eventually(within: 20) { pinned() == 0 })
            await stage.proxy.stop()
        }

        @Test func `is a unix socket of this user alone, and its events say who came`() async throws {
            let folder = try temporaryDirectory()
            let path = folder.file("tunnel")
            let backend = try TestBackend.secured { server, _ in
                try server.send(try server.receive())
                _ = try server.receive()
            }
            let stage = try Stage([
                try Stage.tunnel(.tcp, to: backend.address.description) { $0.listen = [.unix(path: path)] }
            ])
            #expect(try Files.mode(path) & 0o777 == 0o600)
            let unknown = try Stage.tunnel(.tcp, to: backend.address.description) {
                $0.listen = [.unix(path: folder.file("other"))]
                $0.tunnel?.socketGroup = "no-such-group"
            }
            let refusal = #expect(throws: ProxyError.self) { try Stage([unknown]) }
            #expect(refusal?.description.contains("tunnel out: give") == true)
            let client = try TestSocket(path: path)
            try client.send(Array("hello".utf8))
            #expect(try client.receive() == Array("hello".utf8))
            let event = try #require(stage.events.named(.connectionAccepted).first)
            #expect(event.fields["caller.uid"] == .count(getuid()))
            #expect(event.fields["caller.pid"] == .count(getpid()))
            let live = await stage.proxy.connections()
            #expect(live.map(\.listener) == ["out"] && live.first?.peerSubject == "CN=localhost")
            #expect(live.first?.remoteAddress == backend.address.description)
            await stage.proxy.beginDrain()
            try stage.proxy.undrain()
            #expect(try TestSocket(path: path).raw >= 0, "a file that was left there is replaced")
            await stage.proxy.stop()
        }

        @Test func `passes no end on as orderly that was none, in either direction`() async throws {
            let backend = try TestBackend.secured { server, backend in
                let first = try server.receive()
                try server.send(first)
                if first == [UInt8(ascii: "f")] { return server.socket.endWriting() }
                do {
                    _ = try server.receiveAll()
                    backend.note(Array("orderly".utf8))
                } catch {
                    backend.note(Array("cut".utf8))
                }
            }
            let stage = try Stage([try Stage.tunnel(.tcp, to: backend.address.description)])
            func client(_ text: String) throws -> TestSocket {
                let client = try TestSocket(port: stage.port(of: "out"))
                try client.send(Array(text.utf8))
                #expect(try client.receive(1) == Array(text.utf8))
                return client
            }
            let cut = try client("f")
            #expect(throws: (any Error).self) { _ = try cut.receiveAll() }
            do { try client("r").resetOnClose() }
            #expect(await eventually(within: 20) { backend.noted == [Array("cut".utf8)] })
            let orderly = try client("o")
            orderly.endWriting()
            #expect(await eventually(within: 20) { backend.noted.last == Array("orderly".utf8) })
            let killed = try client("k")
            let ids = await stage.proxy.connections().map(\.id)
            for id in ids { _ = await stage.proxy.kill(id) }
            #expect(throws: (any Error).self) { _ = try killed.receiveAll() }
            #expect(await eventually(within: 20) { backend.noted.count == 3 })
            #expect(backend.noted.last == Array("cut".utf8))
            await stage.proxy.stop()
        }

        @Test func `says goodbye in PostgreSQL's own words, and keeps to the limit of connections`() async throws {
            let backend = try TestBackend { socket, _ in
                _ = try socket.receive(8)
                try socket.send([UInt8(ascii: "S")])
                let server = try TestTLSServer(socket, try TestTLSServer.context(try Stage.server.get()))
                _ = try server.receive()
                try server.send(`A live session`.greeting)
                _ = try server.receive()
            }
            var limits = ProxyLimits()
            limits.connections = 1
            let stage = try Stage([try Stage.tunnel(.postgres, to: backend.address.description)], limits: limits)
            let client = try TestSocket(port: stage.port(of: "out"))
            try client.send(startup())
            #expect(try client.receive() == `A live session`.greeting)
            let second = try TestSocket(port: stage.port(of: "out"))
            try second.send(startup())
            #expect(`A PostgreSQL port`.errorFields(try second.receiveAll())["C"] == "53300")
            #expect(await eventually(within: 20) { stage.refused(.connectionLimit) == 1 })
            let ids = await stage.proxy.connections().map(\.id)
            #expect(await stage.proxy.kill(try #require(ids.first)))
            #expect(`A PostgreSQL port`.errorFields(try client.receiveAll())["C"] == "57P01")
            await stage.proxy.stop()
        }
    }
}
