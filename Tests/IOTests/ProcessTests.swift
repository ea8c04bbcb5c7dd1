import Glibc
import Synchronization
import TestSupport
import Testing

@testable import IO

private func openDescriptors() throws -> Int { try Files.list("/proc/self/fd").count }

/// The second field of /proc/PID/statm.
private func residentPages() throws -> Int {
    let fields = String(decoding: try Files.read("/proc/self/statm", limit: 4096), as: UTF8.self).split(separator: " ")
    return try #require(fields.dropFirst().first.flatMap { Int($0) })
}

private final class Quiet: Watcher {
    func becameReady(_ readiness: Readiness) {}
}

private actor Idle: LaneResident {
    nonisolated let lane: Lane
    let poller: Poller
    init(_ label: String) {
        lane = Lane(label: label)
        poller = Poller(lane: lane)
        lane.start(self)
    }
    func turn() {}
}

@Suite struct `A blocking call` {
    private func pipe() throws -> (Int32, Int32) {
        var ends = try IO.Pipe()
        guard let reader = ends.takeReader(), let writer = ends.takeWriter() else {
            throw TestSupportError("no pipe")
        }
        return (reader.release(), writer.release())
    }

    @Test func `is ended by an interruption, before or while it waits`() async throws {
        let (reader, writer) = try pipe()
        for isLate in [false, true] {
            let interruption = try Interruption()
            if !isLate { interruption.ring() }
            let began = Alarm(label: "reading")
            async let count = blocking {
                let source = Descriptor(owning: reader)
                began.ring()
                let count = try source.read(into: LaneBuffer(capacity: 8), until: interruption)
                _ = source.release()
                return count
            }
            _ = await began.wait(for: .seconds(10))
            interruption.ring()
            #expect(try await count == nil)
        }
        _ = Descriptor(owning: reader)
        _ = Descriptor(owning: writer)
    }

    @Test func `gives and takes all bytes while nobody interrupts it`() async throws {
        let (reader, writer) = try pipe()
        let interruption = try Interruption()
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        async let isComplete = blocking {
            let buffer = LaneBuffer(capacity: bytes.count)
            buffer.append(bytes)
            return try Descriptor(owning: writer).writeAll(from: buffer, until: interruption)
        }
        let received = try await blocking {
            let source = Descriptor(owning: reader)
            let received = LaneBuffer(capacity: bytes.count + 1)
            while let count = try source.read(into: received, until: interruption), count > 0 {}
            return received.bytes()
        }
        #expect(try await isComplete)
        #expect(received == bytes)
    }

    @Test func `that writes into a full pipe is ended too`() async throws {
        let (reader, writer) = try pipe()
        let interruption = try Interruption()
        async let isComplete = blocking {
            let buffer = LaneBuffer(capacity: 1 << 20)
            buffer.append([UInt8](repeating: 1, count: 1 << 20))
            return try Descriptor(owning: writer).writeAll(from: buffer, until: interruption)
        }
        let isRead = try await blocking {
            let source = Descriptor(owning: reader)
            let count = try source.read(into: LaneBuffer(capacity: 1))
            _ = source.release()
            return count == 1
        }
        #expect(isRead)
        interruption.ring()
        #expect(try await isComplete == false)
        _ = Descriptor(owning: reader)
    }
}

/// Each in a process of its own: what they count and change belongs to the whole process.
@Suite struct `A process` {
    @Test func `has as many descriptors after lanes and sockets as before`() async {
        await #expect(processExitsWith: .success) {
            // What libdispatch keeps open for itself is there after the first round.
            var counts: [Int] = []
            for round in 0..<3 {
                let before = try openDescriptors()
                for number in 0..<20 {
                    let resident = Idle("\(number)")
                    await resident.turn()
                    await resident.lane.stop()
                    let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
                    let client = try StreamSocket.connect(to: listener.address)
                    guard case .accepted(let server, _) = listener.accept() else { continue }
                    #expect(client.rawValue != server.rawValue)
                    var pipe = try Pipe()
                    let hasReader = pipe.takeReader() != nil
                    #expect(hasReader)
                }
                let settled = try await eventually(within: 60) { try openDescriptors() <= before || round == 0 }
                #expect(settled)
                counts.append(try openDescriptors())
            }
            #expect(counts.count == 3)
        }
    }

    @Test func `that forgets what starting needed is smaller, and goes on`() async {
        await #expect(processExitsWith: .success) {
            let resident = Idle("before")
            await resident.turn()
            let before = try residentPages()
            ProcessMemory.forgetStartUp()
            #expect(try residentPages() < before)
            await resident.turn()
            await Idle("after").turn()
            await resident.lane.stop()
        }
    }

    @Test func `that is out of descriptors is told so, and accepts again when it has some`() async {
        await #expect(processExitsWith: .success) {
            let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
            let client = try StreamSocket.connect(to: listener.address)
            #expect(client.rawValue >= 0)
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            do {
                var spare: [Int32] = []
                while case let next = dup(0), next >= 0 { spare.append(next) }
                defer { for descriptor in spare { close(descriptor) } }
                guard case .exhausted(let error) = listener.accept() else {
                    Issue.record("accepted without a descriptor")
                    return
                }
                #expect(error.code == EMFILE)
            }
            guard case .accepted = listener.accept() else {
                Issue.record("the connection was lost")
                return
            }
        }
    }

    @Test func `hears its signals on the main thread's behalf, and lives on`() async {
        await #expect(processExitsWith: .success) {
            let heard = Mutex<[SignalWatch.Signal]>([])
            let watch = SignalWatch([.terminate, .hangUp, .interrupt]) { signal in heard.withLock { $0.append(signal) }
            }
            for (count, signal) in [SIGHUP, SIGTERM, SIGINT, SIGTERM].enumerated() {
                kill(getpid(), signal)
                let came = await eventually(within: 60) { heard.withLock { $0.count } > count }
                #expect(came)
            }
            #expect(heard.withLock { $0 } == [.hangUp, .terminate, .interrupt, .terminate])
            // SigIgn of proc(5): children would inherit it.
            let status = String(decoding: try Files.read("/proc/self/status", limit: 16 << 10), as: UTF8.self)
            let ignored = status.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }?.suffix(16)
            let mask = try #require(ignored.flatMap { UInt64($0, radix: 16) })
            #expect(mask & (1 << (SIGHUP - 1) | 1 << (SIGTERM - 1) | 1 << (SIGINT - 1)) == 0)
            withExtendedLifetime(watch) {}
        }
    }

    @Test func `gets no more descriptors with a message than it can close`() async {
        await #expect(processExitsWith: .success) {
            let folder = try temporaryDirectory()
            let listener = try SeqPacketSocket.listen(at: folder.file("s"), mode: 0o600)
            let client = try SeqPacketSocket.connect(to: folder.file("s"))
            guard let server = try listener.accept() else { throw TestSupportError("nobody came") }
            let socket = try #require(Files.symbolicLinkTarget("/proc/self/fd/\(client.rawValue)"))
            sendTwoDescriptors(client.rawValue)
            var message = try server.receive(limit: 16)
            #expect(message.bytes == [1])
            let copies = try Files.list("/proc/self/fd").count {
                Files.symbolicLinkTarget("/proc/self/fd/\($0)") == socket
            }
            #expect(copies == 2)
            let hasOne = message.takeDescriptor() != nil
            #expect(hasOne)
        }
    }
}

private func sendTwoDescriptors(_ raw: Int32) {
    var control: [UInt64] = [24, 0, 0]
    control.withUnsafeMutableBytes { control in
        control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
        control.storeBytes(of: 1 /* SCM_RIGHTS */, toByteOffset: 12, as: Int32.self)
        control.storeBytes(of: raw, toByteOffset: 16, as: Int32.self)
        control.storeBytes(of: raw, toByteOffset: 20, as: Int32.self)
        var byte: UInt8 = 1
        withUnsafeMutablePointer(to: &byte) { byte in
            var vector = iovec(iov_base: byte, iov_len: 1)
            withUnsafeMutablePointer(to: &vector) { vector in
                var message = msghdr()
                message.msg_iov = vector
                message.msg_iovlen = 1
                message.msg_control = control.baseAddress
                message.msg_controllen = 24
                #expect(sendmsg(raw, &message, 0) == 1)
            }
        }
    }
}
