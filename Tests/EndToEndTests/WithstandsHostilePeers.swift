import Foundation
import Testing

@Suite(.serialized) struct `A hostile peer` {
    @Test func `costs one bounded connection, whatever it sends and wherever it stops`() async throws {
        let fleet = try await Fleet()
        let script = """
            import os, random, socket, struct
            random.seed(7)
            port = \(fleet.listenPort)
            ssl = struct.pack('>II', 8, 80877103)
            hello = bytes.fromhex('160301002f0100002b0303') + os.urandom(36)
            shapes = [b'', b'\\x00', ssl, ssl + hello, hello, struct.pack('>II', 8, 80877104) + ssl,
                      b'GET / HTTP/1.1\\r\\n\\r\\n', struct.pack('>II', 2**31 - 1, 196608), struct.pack('>II', 4, 0),
                      ssl + b'x' * 40, os.urandom(5000)]
            for shape in shapes:
                for cut in sorted({0, 1, len(shape) // 2, max(0, len(shape) - 1), len(shape)}):
                    s = socket.create_connection(('127.0.0.1', port), timeout=5)
                    s.sendall(shape[:cut])
                    if random.random() < 0.5:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    s.close()
            """
        let before = try descriptorCount(fleet)
        let outcome = try Program.run("/usr/bin/python3", ["-c", script])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try fleet.psql("select 1").output == "1\n")
        let isClean = await eventually(within: 15) { (try? self.descriptorCount(fleet)) ?? .max <= before + 1 }
        let after = try descriptorCount(fleet)
        #expect(isClean, "descriptors: \(before) before, \(after) after")
        #expect(fleet.agent.isRunning)
    }

    private func descriptorCount(_ fleet: Fleet) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(fleet.agent.identifier)/fd").count
    }
}
