import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Bytes through a proxy that speaks TLS on both sides.
    @Suite(.timeLimit(.minutes(3))) struct `A connection with TLS to the database` {
        static let verify = BackendTLS(
            .verify, name: "localhost", trust: ListenerTrust(trustsCluster: true, anchors: []))

        static func stage(
            _ backend: TestBackend, _ spoken: DatabaseProtocol = .tcp, _ wanted: BackendTLS = verify,
            limits: ProxyLimits = ProxyLimits(), change: (inout ListenerConfiguration) throws -> Void = { _ in }
        ) throws -> Stage {
            let listener = try Stage.listener(spoken, backend: [backend.address]) {
                $0.backendTLS = wanted
                try change(&$0)
            }
            return try Stage([listener], limits: limits)
        }

        private static func bytes(_ count: Int, seed: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ seed) ^ ($0 >> 8)) }
        }

        private static func reasons(_ stage: Stage) -> [JSONValue?] {
            stage.events.named(.connectionClosed).map { $0.fields["reason"] }
        }

        @Test(arguments: [TLSVersion.tls12, .tls13])
        func `carries 24 streams at once, in random pieces, each byte as it was`(_ version: TLSVersion) async throws {
            let backend = try TestBackend.secured(maximum: version, splits: true) { server, backend in
                backend.note(Array(server.clientSerial.utf8))
                while true {
                    let bytes = try server.receive()
                    if bytes.isEmpty { return try server.endWriting() }
                    try server.send(bytes)
                }
            }
            let stage = try Self.stage(backend)
            let port = stage.port
            let notes = Notes()
            for number in 0..<24 {
                Thread.detachNewThread {
                    notes.add((try? Self.exchange(port, seed: number)) == true ? "good" : "bad")
                }
            }
            #expect(await eventually(within: 90) { notes.all.count == 24 })
            #expect(!notes.all.contains("bad"))
            #expect(await eventually(within: 20) { Self.reasons(stage).count == 24 })
            #expect(Self.reasons(stage).allSatisfy { $0 == "finished" }, "\(Self.reasons(stage))")
            // The listener's own certificate stands for it.
            let own = stage.proxy.listeners.first?.context?.identity?.leaf.serial ?? ""
            #expect(backend.noted.count == 24 && backend.noted.allSatisfy { $0 == Array(own.utf8) })
            #expect(stage.proxy.relays.allSatisfy { $0.figures.pinnedBytes == 0 && $0.figures.openCount == 0 })
            await stage.proxy.stop()
        }

        private static func exchange(_ port: UInt16, seed: Int) throws -> Bool {
            let client = try TestClient(port, as: try Stage.client.get(), .direct)
            for round in 0..<12 {
                let piece = bytes(Int.random(in: 1...60_000), seed: seed &+ round)
                try client.send(piece)
                guard try client.receive(count: piece.count) == piece else { return false }
            }
            try client.endWriting()
            return try client.receiveAll().isEmpty
        }

        @Test func `delivers every byte after one side has ended, whichever it was`() async throws {
            let answer = Self.bytes(3 << 20, seed: 5)
            let backend = try TestBackend.secured { server, backend in
                let request = try server.receiveAll()
                if request.first == 1 {
                    backend.note(request)
                    try server.send(answer)
                }
                try server.endWriting()
            }
            let stage = try Self.stage(backend)
            for count in [1, 70_000, 1_000_000] {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                let request = [1] + Self.bytes(count, seed: 9)
                try client.send(request)
                try client.endWriting()
                #expect(try client.receiveAll() == answer)
                #expect(backend.noted.last == request)
            }
            await stage.proxy.stop()
            let ending = try TestBackend.secured { server, backend in
                try server.send(Array("bye".utf8))
                try server.endWriting()
                backend.note(try server.receiveAll())
            }
            let other = try Self.stage(ending)
            let client = try TestClient(other.port, as: try Stage.client.get(), .direct)
            #expect(try client.receiveAll() == Array("bye".utf8))
            let late = Self.bytes(500_000, seed: 3)
            try client.send(late)
            try client.endWriting()
            #expect(await eventually(within: 20) { ending.noted.first == late })
            #expect(await eventually(within: 20) { Self.reasons(other) == ["finished"] })
            await other.proxy.stop()
        }

        @Test func `passes no end on as orderly that was none, in either direction`() async throws {
            let backend = try TestBackend.secured { server, backend in
                let first = try server.receive()
                try server.send(first)
                switch first.first {
                // Leaves without the end of TLS, or by a reset.
                case UInt8(ascii: "f"): server.socket.endWriting()
                case UInt8(ascii: "r"): return server.socket.resetOnClose()
                default: break
                }
                do {
                    _ = try server.receiveAll()
                    backend.note(Array("orderly".utf8))
                } catch {
                    backend.note(Array("cut".utf8))
                }
            }
            let stage = try Self.stage(backend)
            for (count, word) in ["f", "r"].enumerated() {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
                try client.send(word)
                #expect(throws: (any Error).self) {
                    _ = try client.receiveAll()
                }
                #expect(await eventually(within: 20) { Self.reasons(stage).count == count + 1 })
            }
            #expect(Self.reasons(stage).first == "backend-tls-failed")
            #expect(Self.reasons(stage).last == "backend-failed")
            let noted = backend.noted.count
            let truncating = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try truncating.send("x")
            _ = try truncating.receive(count: 1)
            truncating.socket.endWriting()
            #expect(await eventually(within: 20) { backend.noted.count == noted + 1 })
            #expect(backend.noted.last == Array("cut".utf8))
            #expect(await eventually(within: 20) { stage.open == 0 })
            await stage.proxy.stop()
        }

        @Test func `lets slow readers hold back the other side, with every byte in order and little memory`()
            async throws
        {
            let expected = Self.bytes(12 << 20, seed: 1)
            let gate = DispatchSemaphore(value: 0)
            let notes = Notes()
            let backend = try TestBackend.secured(receiveBuffer: 64 << 10) { server, _ in
                gate.wait()
                notes.add(try server.receiveAll() == expected ? "all up" : "wrong")
                try server.send(expected)
                try server.endWriting()
            }
            let stage = try Self.stage(backend)
            let port = stage.port
            Thread.detachNewThread {
                guard let client = try? TestClient(port, as: try? Stage.client.get(), .direct, receiveBuffer: 16 << 10)
                else { return }
                try? client.send(expected)
                try? client.endWriting()
                gate.wait()
                notes.add((try? client.receiveAll()) == expected ? "all down" : "wrong")
            }
            let pinned = { stage.proxy.relays.reduce(0) { $0 + $1.figures.pinnedBytes } }
            #expect(await eventually(within: 20) { pinned() > 0 })
            #expect(pinned() < 2 << 20)
            gate.signal()
            #expect(await eventually(within: 30) { notes.all == ["all up"] }, "\(notes.all)")
            #expect(await eventually(within: 20) { pinned() > 0 })
            #expect(pinned() < 2 << 20)
            gate.signal()
            #expect(await eventually(within: 30) { notes.all == ["all up", "all down"] }, "\(notes.all)")
            #expect(await eventually(within: 20) { pinned() == 0 })
            await stage.proxy.stop()
        }

        @Test func `takes the trust that is published, and the certificate that goes with the listener's`() async throws
        {
            let others = try Stage.authority.get().server()
            let backend = try TestBackend.secured(as: others) { server, _ in try server.send(try server.receive()) }
            let stage = try Self.stage(backend, .tcp, BackendTLS(.sameCertificate))
            func isServed() -> Bool {
                guard let client = try? TestClient(stage.port, as: try Stage.client.get(), .direct) else {
                    return false
                }
                try? client.send("x")
                return (try? client.receive(count: 1)) == [UInt8(ascii: "x")]
            }
            #expect(!isServed())
            #expect(await eventually(within: 20) { stage.refused(.backendDown) == 1 })
            #expect(stage.refusalDetails.first?.contains("presents another certificate") == true)
            try stage.publish(others)
            #expect(isServed())
            await stage.proxy.stop()
        }
    }
}
