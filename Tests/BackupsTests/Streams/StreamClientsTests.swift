import Foundation
import IO
import Reports
import TestSupport
import Testing

@testable import Backups

/// A client that speaks the protocol by hand, so that it can break it.
private struct RawClient: ~Copyable {
    let socket: SeqPacketSocket

    init(_ running: RunningJob) throws { socket = try SeqPacketSocket.connect(to: running.socket) }

    func reply() throws -> StreamReply? {
        let bytes = try socket.receive(limit: 1 << 16).bytes
        return bytes.isEmpty ? nil : try JSONDecoder().decode(StreamReply.self, from: Data(bytes))
    }

    /// Skips progress.
    func failure() throws -> String? {
        while let reply = try reply() {
            if case .failed(_, let reason) = reply { return reason }
        }
        return nil
    }
}

@Suite struct `A client of the stream socket` {
    @Test func `that vanishes in the middle leaves no backup, and its producer is told`() async throws {
        let running = try RunningJob()
        try await blocking {
            let pipe = try Ends()
            let reader = pipe.reader
            let writer = pipe.writer
            let client = try RawClient(running)
            try client.socket.send(Array(#"{"verb":"put","name":"base"}"#.utf8), descriptor: reader)
            _ = consume reader
            guard case .started? = try client.reply() else {
                Issue.record("not started")
                return
            }
            try writer.writeAll(someBytes(50_000))
            client.socket.shutdown()
            // Nobody reads any more: EPIPE, once the server has noticed.
            SignalWatch.ignoreBrokenPipes()
            let isTold = eventuallyBlocking(within: 20) {
                do throws(IOError) { try writer.writeAll(someBytes(70_000)) } catch { return error.code == EPIPE }
                return false
            }
            #expect(isTold)
        }
        let isAudited = await eventually(within: 20) { running.audited.last?.name == .backupFailed }
        #expect(isAudited)
        // The failure is audited first, then what was written is removed.
        #expect(await eventually(within: 20) { running.storedFiles == [] })
        #expect(try await running.list() == [])
        await running.stop()
    }

    @Test func `that vanishes after the end of the stream, before it says how that came, leaves no backup`()
        async throws
    {
        let running = try RunningJob()
        let input = try running.folder.write(someBytes(9000), to: "input")
        try await blocking {
            let client = try RawClient(running)
            try client.socket.send(
                Array(#"{"verb":"put","name":"base"}"#.utf8), descriptor: try Files.openForReading(input))
            while let reply = try client.reply() {
                if case .ended(let bytes) = reply {
                    #expect(bytes == 9000)
                    break
                }
            }
        }
        let isAudited = await eventually(within: 20) { running.audited.last?.name == .backupFailed }
        #expect(isAudited)
        // The failure is audited first, then what was written is removed.
        #expect(await eventually(within: 20) { running.storedFiles == [] })
        await running.stop()
    }

    @Test(arguments: [
        ("", "protocol"), ("garbage", "protocol"), (#"{"verb":"explode"}"#, "protocol"),
        (#"{"verb":"put","name":"base"}"#, "descriptor"), (#"{"verb":"get","name":"base"}"#, "descriptor"),
        (#"{"verb":"verify","name":"none"}"#, "no complete backup named none"),
        (#"{"verb":"verify","name":"../x"}"#, "name a backup as"), (#"{"verb":"delete"}"#, "name a backup as"),
        (#"{"verb":"verify","name":"base","level":9}"#, "verify levels"),
        (#"{"verb":"list","target":"elsewhere"}"#, "no target 'elsewhere'"),
    ])
    func `is told what is wrong with its request`(_ request: String, _ answer: String) async throws {
        let running = try RunningJob()
        let failure = try await blocking {
            let client = try RawClient(running)
            // A message without bytes is the end of the connection to whoever receives it.
            if request.isEmpty { return "protocol" as String? }
            try client.socket.send(Array(request.utf8))
            return try client.failure()
        }
        #expect(failure?.contains(answer) == true, "\(failure ?? "nothing")")
        #expect(try await running.list() == [])
        await running.stop()
    }

    @Test func `beyond the limit is refused with the reason, and served once another has ended`() async throws {
        let running = try RunningJob()
        try await blocking {
            let pipe = try Ends()
            let reader = pipe.reader
            let writer = pipe.writer
            let clients = try (1...BackupsConfiguration.streamLimit).map { _ in try HeldStream(running, reader) }
            let extra = try RawClient(running)
            let refusal = try extra.failure()
            #expect(refusal?.contains("4 backup streams are running") == true)
            clients[0].end()
            _ = consume writer
            let isServed = eventuallyBlocking(within: 20) {
                (try? StreamClient(connectingTo: running.socket).list()) != nil
            }
            #expect(isServed)
        }
        await running.stop()
    }

    @Test func `that asks for nothing is let go in time`() async throws {
        let running = try RunningJob(requestDeadline: .milliseconds(50))
        let failure = try await blocking { try RawClient(running).failure() }
        #expect(failure == "nothing was asked for in time")
        #expect(try await running.list() == [])
        await running.stop()
    }

    @Test func `is told when the daemon stops, and its stream becomes no backup`() async throws {
        let running = try RunningJob()
        let pipe = try Ends()
        let reader = pipe.reader
        let writer = pipe.writer
        let held = try HeldStream(running, reader)
        try writer.writeAll(someBytes(100))
        // The producer keeps its end open and says nothing more: a stop does not wait for it.
        await running.stop()
        _ = consume writer
        #expect(held.lastWord?.contains("nodeguard is stopping") == true)
        #expect(running.audited.last?.name == .backupFailed)
        #expect(running.storedFiles == [])
        #expect(!Files.exists(running.socket))
    }

    @Test func `that reads no more of what it restores does not hold up a stop`() async throws {
        let running = try RunningJob()
        _ = try await running.put("base", someBytes(1_000_000))
        let pipe = try Ends()
        let reader = pipe.reader
        let writer = pipe.writer
        let client = try RawClient(running)
        try client.socket.send(Array(#"{"verb":"get","name":"base"}"#.utf8), descriptor: writer)
        guard case .started? = try client.reply() else {
            Issue.record("not started")
            return
        }
        let buffer = LaneBuffer(capacity: 16)
        #expect(try reader.read(into: buffer) == 16)
        await running.stop()
        #expect(running.audited.last?.name == .backupRead && running.audited.last?.outcome == .failure)
    }

    @Test func `finds out that nobody answers`() throws {
        let folder = try temporaryDirectory()
        do throws(BackupError) {
            _ = try StreamClient(connectingTo: folder.file("stream.sock")).list()
            Issue.record("somebody answered")
        } catch { #expect(error.kind == .unreachable) }
    }
}

/// Both ends of a pipe, to be taken apart.
private struct Ends: ~Copyable {
    let reader: Descriptor
    let writer: Descriptor

    init() throws {
        var pipe = try IO.Pipe()
        guard let reader = pipe.takeReader(), let writer = pipe.takeWriter() else { throw TestSupportError("no pipe") }
        self.reader = reader
        self.writer = writer
    }
}

/// A put that has started and waits for its producer.
private final class HeldStream: Sendable {
    private let socket: SeqPacketSocket

    init(_ running: RunningJob, _ reader: borrowing Descriptor) throws {
        socket = try SeqPacketSocket.connect(to: running.socket)
        try socket.send(Array(#"{"verb":"put","name":"held"}"#.utf8), descriptor: reader)
        let first = try JSONDecoder().decode(
            StreamReply.self, from: Data(try socket.receive(limit: 1 << 16).bytes))
        guard case .started = first else { throw TestSupportError("\(first)") }
    }

    func end() { socket.shutdown() }

    /// Why it failed, as the daemon said.
    var lastWord: String? {
        while let bytes = try? socket.receive(limit: 1 << 16).bytes, !bytes.isEmpty {
            let reply = try? JSONDecoder().decode(StreamReply.self, from: Data(bytes))
            if case .failed(_, let reason)? = reply { return reason }
        }
        return nil
    }
}
