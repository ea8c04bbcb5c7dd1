import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Bytes through a live proxy, in every shape that a network gives them.
    @Suite(.timeLimit(.minutes(3))) struct `A relayed connection` {
        private func stage(
            _ backend: TestBackend, limits: ProxyLimits = ProxyLimits(),
            change: (inout ListenerConfiguration) throws -> Void = { _ in }
        ) throws -> Stage {
            try Stage([try Stage.listener(.tcp, backend: [backend.address], change: change)], limits: limits)
        }

        /// Bytes that a generator makes from a seed, so that both ends know them.
        private static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
            var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
            let words = (0..<(count + 7) / 8).map { _ -> UInt64 in
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                return state
            }
            return words.withUnsafeBytes { Array($0.prefix(count)) }
        }

        /// Pieces that the sender sends and the receiver checks one by one.
        private static func blocks(_ count: Int) -> [[UInt8]] {
            (0..<count).map { bytes(1 << 20, seed: UInt64($0 + 1)) }
        }

        @Test func `delivers every byte after the client has ended its side`() async throws {
            let size = 3 << 20
            let backend = try TestBackend { socket, backend in
                let request = try socket.receiveAll()
                backend.note(request)
                // Answers only after the client's end, as `psql -c` over a slow link would see it.
                try socket.send(Self.bytes(size, seed: UInt64(request.count)))
            }
            let stage = try stage(backend)
            for count in [0, 1, 70_000, 1_000_000] {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                let request = Self.bytes(count, seed: 9)
                try client.send(request)
                try client.endWriting()
                #expect(try client.receiveAll() == Self.bytes(size, seed: UInt64(count)))
                #expect(backend.noted.last == request)
            }
            #expect(await eventually(within: 20) { stage.events.named(.connectionClosed).count == 4 })
            #expect(
                stage.events.named(.connectionClosed).map { $0.fields["reason"] }
                    == Array(repeating: "finished", count: 4))
            await stage.proxy.stop()
        }

        /// What a client says in one breath with its handshake's last message reaches the handshake lane, its end too.
        @Test func `knows an ending that came with the first bytes`() async throws {
            let backend = try TestBackend { socket, backend in backend.note(try socket.receiveAll()) }
            let stage = try stage(backend)
            for round in 1...20 {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send([UInt8](repeating: 7, count: round), thenEnds: true)
                #expect(try client.receiveAll() == [])
            }
            #expect(await eventually(within: 20) { stage.events.named(.connectionClosed).count == 20 })
            #expect(stage.events.named(.connectionClosed).allSatisfy { $0.fields["reason"] == "finished" })
            #expect(backend.noted.map(\.count).sorted() == Array(1...20))
            await stage.proxy.stop()
        }

        @Test func `delivers every byte after the database has ended its side`() async throws {
            let backend = try TestBackend { socket, backend in
                try socket.send(Array("bye".utf8))
                socket.endWriting()
                backend.note(try socket.receiveAll())
            }
            let stage = try stage(backend)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            #expect(try client.receiveAll() == Array("bye".utf8))
            let late = Self.bytes(500_000, seed: 3)
            try client.send(late)
            try client.endWriting()
            #expect(await eventually(within: 20) { backend.noted.first == late })
            await stage.proxy.stop()
        }

        @Test func `carries 64 streams at once, in random pieces, each byte as it was`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let port = stage.port
            let finished = Notes()
            for number in 0..<64 {
                Thread.detachNewThread {
                    let isGood = (try? Self.exchange(port, seed: UInt64(number + 1))) ?? false
                    finished.add(isGood ? "good" : "bad")
                }
            }
            #expect(await eventually(within: 90) { finished.all.count == 64 })
            #expect(!finished.all.contains("bad"))
            #expect(await eventually(within: 20) { stage.open == 0 })
            #expect(stage.proxy.relays.allSatisfy { $0.figures.pinnedBytes == 0 && $0.figures.openCount == 0 })
            await stage.proxy.stop()
        }

        private static func exchange(_ port: UInt16, seed: UInt64) throws -> Bool {
            let client = try TestClient(port, as: try Stage.client.get(), .direct)
            var generator = SystemRandomNumberGenerator()
            for round in 0..<20 {
                let piece = bytes(Int.random(in: 1...60_000, using: &generator), seed: seed &+ UInt64(round))
                try client.send(piece)
                guard try client.receive(count: piece.count) == piece else { return false }
            }
            try client.endWriting()
            return try client.receiveAll().isEmpty
        }

        @Test func `pins little memory for readers that stall, and delivers all when they read again`() async throws {
            let blocks = Self.blocks(8)
            let backend = try TestBackend { socket, _ in
                for block in blocks { try socket.send(block) }
                _ = try socket.receiveAll()
            }
            var limits = ProxyLimits()
            limits.stalledMemory = 1 << 20
            let stage = try stage(backend, limits: limits)
            let readers = 12
            var clients: [TestClient] = []
            for _ in 0..<readers {
                clients.append(try TestClient(stage.port, as: try Stage.client.get(), .direct, receiveBuffer: 16 << 10))
            }
            let pinned = { stage.proxy.relays.reduce(0) { $0 + $1.figures.pinnedBytes } }
            var most = 0
            var steady = 0
            // Until all of them have been stalled for a while.
            let isStalled = await eventually(within: 20) {
                let now = pinned()
                steady = now <= most && now > 0 ? steady + 1 : 0
                most = max(most, now)
                return steady > 60
            }
            #expect(isStalled)
            // One piece in flight may exceed the limit on each lane; everything beyond is read in tiny pieces.
            #expect(most <= (1 << 20) + 2 * (600 << 10) + readers * (8 << 10), "\(most)")
            for client in clients {
                for block in blocks { #expect(try client.take(block.count) == block) }
                try client.endWriting()
            }
            #expect(await eventually(within: 20) { stage.events.named(.connectionClosed).count == readers })
            #expect(pinned() == 0)
            await stage.proxy.stop()
        }

        @Test func `lets a slow database hold back its client, with every byte in order`() async throws {
            let blocks = Self.blocks(24)
            let expected = blocks.reduce(into: [UInt8]()) { $0 += $1 }
            let gate = DispatchSemaphore(value: 0)
            let notes = Notes()
            let backend = try TestBackend(receiveBuffer: 256 << 10) { socket, _ in
                gate.wait()
                let all = try socket.receiveAll()
                notes.add(all == expected ? "all arrived" : "\(all.count) bytes arrived")
            }
            let stage = try stage(backend)
            let port = stage.port
            Thread.detachNewThread {
                guard let client = try? TestClient(port, as: try? Stage.client.get(), .direct) else { return }
                for block in blocks { try? client.send(block) }
                try? client.endWriting()
                _ = try? client.receiveAll()
                notes.add("client done")
            }
            let pinned = { stage.proxy.relays.reduce(0) { $0 + $1.figures.pinnedBytes } }
            #expect(await eventually(within: 20) { pinned() > 0 })
            #expect(notes.all == [])
            gate.signal()
            #expect(await eventually(within: 30) { notes.all == ["all arrived", "client done"] }, "\(notes.all)")
            #expect(await eventually(within: 20) { pinned() == 0 })
            await stage.proxy.stop()
        }

        @Test func `reports a client that ends TCP without ending TLS`() async throws {
            let backend = try TestBackend { socket, backend in backend.note(try socket.receiveAll()) }
            let stage = try stage(backend)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.send("half a stat")
            client.socket.endWriting()
            #expect(await eventually(within: 20) { backend.noted.first == Array("half a stat".utf8) })
            #expect(try client.receiveAll() == [])
            #expect(await eventually(within: 20) { !stage.events.named(.connectionClosed).isEmpty })
            #expect(stage.events.named(.connectionClosed).first?.fields["reason"] == "truncated")
            await stage.proxy.stop()
        }

        @Test func `ends when nothing moves for longer than the listener allows`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend) { $0.timeouts.idle = .milliseconds(300) }
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            let start = ContinuousClock.now
            for _ in 0..<5 {
                try client.send("x")
                _ = try client.receive(count: 1)
            }
            #expect(try client.receiveAll() == [])
            #expect(start.duration(to: .now) >= .milliseconds(300))
            #expect(await eventually(within: 20) { !stage.events.named(.connectionClosed).isEmpty })
            #expect(stage.events.named(.connectionClosed).first?.fields["reason"] == "idle")
            await stage.proxy.stop()
        }

        @Test func `does not linger for ever when one side alone has ended`() async throws {
            let keeper = try TestBackend { socket, backend in
                _ = try socket.receiveAll()
                // Never ends its own side until the proxy does.
                var state = pollfd(fd: socket.raw, events: Int16(POLLHUP), revents: 0)
                poll(&state, 1, 10_000)
                backend.note([1])
            }
            let stage = try stage(keeper) { $0.timeouts.linger = .milliseconds(200) }
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.endWriting()
            #expect(await eventually(within: 20) { !stage.events.named(.connectionClosed).isEmpty })
            #expect(stage.events.named(.connectionClosed).first?.fields["reason"] == "half-closed-without-progress")
            await stage.proxy.stop()
        }

        @Test func `is cut by its number and by no other`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let first = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            let second = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            for client in [first, second] {
                try client.send("x")
                _ = try client.receive(count: 1)
            }
            let connections = await stage.proxy.connections()
            #expect(connections.count == 2)
            #expect(await !stage.proxy.kill(999_999))
            #expect(await stage.proxy.kill(try #require(connections.first).id))
            #expect(throws: (any Error).self) { _ = try first.receive() }
            try second.send("y")
            #expect(try second.receive(count: 1) == [UInt8(ascii: "y")])
            await stage.proxy.stop()
        }
    }
}
