import Foundation
import Glibc
import TestSupport
import Testing

@testable import Backups
@testable import IO

/// In a process of its own, for its limit of open files is the whole process's.
@Suite struct `A stream server without descriptors` {
    @Test func `serves a client that came meanwhile, as soon as there are some`() async {
        await #expect(processExitsWith: .success) {
            let running = try RunningJob()
            let before = openSockets()
            _ = try await running.list()
            // The server closes its side later: a descriptor that became free below would be one too many.
            #expect(await eventually(within: 20) { openSockets() <= before })
            // What the runtime opens lazily is open by now; what is needed below, too.
            let client = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0)
            var limit = rlimit(rlim_cur: 256, rlim_max: 256)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            var spare: [Int32] = []
            while case let next = dup(0), next >= 0 { spare.append(next) }
            #expect(errno == EMFILE)
            let path = running.socket
            let isConnected = SocketAddress.unix(path: path).withPointer { Glibc.connect(client, $0, $1) } == 0
            #expect(isConnected)
            let request = Array(#"{"verb":"list"}"#.utf8)
            #expect(send(client, request, request.count, 0) == request.count)
            var event = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            // Longer than the server rests between two attempts.
            #expect(poll(&event, 1, 700) == 0, "nobody can have accepted it")
            for descriptor in spare { close(descriptor) }
            #expect(poll(&event, 1, 20_000) == 1)
            var answer = [UInt8](repeating: 0, count: 4096)
            let count = recv(client, &answer, answer.count, 0)
            #expect(String(decoding: answer[..<max(0, count)], as: UTF8.self).contains("completed"))
            close(client)
            await running.stop()
        }
    }
}

private func openSockets() -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.count { name in
        let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name)
        return target?.hasPrefix("socket:") == true
    }
}
