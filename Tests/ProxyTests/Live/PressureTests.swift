import Foundation
import Glibc
import IO
import Reports
import TestSupport
import Testing

@testable import Proxy

/// Each in a process of its own: what runs out is the whole process's.
@Suite(.timeLimit(.minutes(3))) struct `A proxy that runs short` {
    @Test func `of memory turns newcomers away before anything fails, and keeps its sessions`() async {
        await #expect(processExitsWith: .success) {
            let backend = try TestBackend.echo()
            // The certificates are made before, so that what is resident stays as it is.
            let shop = try Stage.client.get()
            _ = try Stage.server.get()
            let resident = try #require(ProcessMemory.resident)
            var limits = ProxyLimits()
            let memory = resident + 256 << 20
            limits.memory = memory
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
            func session() throws -> TestClient {
                let client = try TestClient(stage.port, as: shop, .sslRequest)
                try client.send(startup())
                #expect(try client.receive(count: startup().count) == startup())
                return client
            }
            let held = try session()
            var block = [UInt8](repeating: 1, count: memory - resident)
            #expect(await eventually(within: 20) { stage.isShedding })
            #expect(throws: (any Error).self) { try session() }
            #expect(await eventually(within: 20) { stage.refused(.memoryPressure) == 1 })
            #expect(stage.refusalDetails.last?.hasPrefix("memory of the process: ") == true)
            try held.send(Array("still here".utf8))
            #expect(try held.receive(count: 10) == Array("still here".utf8))
            #expect(block.last == 1)
            block = []
            #expect(await eventually(within: 20) { !stage.isShedding })
            _ = try session()
            await stage.proxy.stop()
        }
    }

    @Test func `of descriptors turns newcomers away while some are left, and says so`() async {
        await #expect(processExitsWith: .success) {
            let backend = try TestBackend.echo()
            let shop = try Stage.client.get()
            _ = try Stage.server.get()
            Self.limitDescriptors(to: 512)
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])])
            func session() throws -> TestClient {
                let client = try TestClient(stage.port, as: shop, .sslRequest)
                try client.send(startup())
                #expect(try client.receive(count: startup().count) == startup())
                return client
            }
            let held = try session()
            // All but 50, which is less than an eighth of 512.
            var taken: [Int32] = []
            while case let next = dup(0), next >= 0, next < 512 - 51 { taken.append(next) }
            #expect(throws: (any Error).self) { try session() }
            #expect(
                await eventually(within: 20) {
                    stage.refused(.descriptorPressure) == 1 && stage.refused(.noDescriptors) == 0
                })
            #expect(stage.refusalDetails.last?.hasPrefix("descriptors of the process: ") == true)
            #expect(await eventually(within: 20) { stage.isShedding })
            try held.send(Array("still here".utf8))
            #expect(try held.receive(count: 10) == Array("still here".utf8))
            for descriptor in taken { close(descriptor) }
            _ = try session()
            #expect(await eventually(within: 20) { !stage.isShedding })
            await stage.proxy.stop()
        }
    }

    @Test func `of the very last descriptor closes a client at a time, without spinning, until there are some`() async {
        await #expect(processExitsWith: .success) {
            let backend = try TestBackend.echo()
            let shop = try Stage.client.get()
            _ = try Stage.server.get()
            Self.limitDescriptors(to: 512)
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])])
            let script = """
                import socket, sys
                print('started', flush=True)
                held = []
                for line in sys.stdin:
                    held += [socket.create_connection(('127.0.0.1', \(stage.port))) for _ in range(40)]
                """
            let crowd = try Subprocess("python3", ["-c", script], keepsInputOpen: true)
            try await crowd.waitForLine(containing: "started")
            // What the runtime opens lazily is open by now.
            #expect(try TestSocket(port: stage.port).raw >= 0)
            #expect(
                await eventually(within: 20) {
                    (try? stage.counters().accepted.value) == 1 && proxySockets(stage, backend) == 0
                })
            // It rests 10 ms, then twice as long each time: seven times in that second. No process can be without any
            // descriptor for longer: libdispatch's monitor ends it. On a busy machine no client may come in time.
            var count: UInt64 = 0
            for _ in 1...10 where count == 0 {
                var taken: [Int32] = []
                while case let next = dup(0), next >= 0 { taken.append(next) }
                #expect(errno == EMFILE)
                try crowd.write([UInt8(ascii: "\n")])
                let end = ContinuousClock.now + .milliseconds(900)
                while stage.refused(.noDescriptors) < 9, ContinuousClock.now < end { poll(nil, 0, 1) }
                count = stage.refused(.noDescriptors)
                for descriptor in taken { close(descriptor) }
            }
            #expect(count >= 1 && count < 9, "\(count)")
            let client = try TestClient(stage.port, as: shop, .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            crowd.signal(SIGKILL)
            await stage.proxy.stop()
        }
    }

    private static func limitDescriptors(to count: Int) {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = rlim_t(count)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

extension Stage {
    fileprivate var isShedding: Bool { health.snapshot.reasons.contains { $0.code == "CONNECTIONS_SHED" } }
}
