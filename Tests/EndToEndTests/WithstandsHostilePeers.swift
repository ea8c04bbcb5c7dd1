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
        let isClean = await eventually(within: 20) { (try? self.descriptorCount(fleet)) ?? .max <= before + 1 }
        let after = try descriptorCount(fleet)
        #expect(isClean, "descriptors: \(before) before, \(after) after")
        #expect(fleet.agent.isRunning)
    }

    @Test func `cannot silence the status socket by taking every descriptor that it can`() async throws {
        let fleet = try await Fleet(start: false)
        try fleet.startAgent(descriptors: 400)
        try await fleet.waitUntilReady()
        let script = """
            import socket, sys
            held = []
            for host in range(1, 9):
                for _ in range(60):
                    held.append(socket.create_connection(
                        ('127.0.0.1', \(fleet.listenPort)), source_address=(f'127.0.{host}.1', 0)))
            print('held', flush=True)
            sys.stdin.readline()
            """
        let hoarder = try Program("/usr/bin/python3", ["-c", script], log: fleet.folder + "/hoarder.log")
        let isHeld = await eventually(within: 30) { hoarder.log.contains("held") }
        #expect(isHeld, "\(hoarder.log)")
        for _ in 0..<5 {
            let reasons = try fleet.status()["reasons"] as? [[String: Any]] ?? []
            #expect(reasons.contains { $0["code"] as? String == "DESCRIPTORS_SCARCE" })
        }
        #expect(try fleet.nodeguard(["connections", "--json"]).status == 0)
        #expect(try fleet.psql("select 1").output == "1\n")
        hoarder.kill()
    }

    @Test func `is banned, listed, kept out across a reload, and let in again by command`() async throws {
        let fleet = try await Fleet(listeners: "  limits: { ban: { failures: 3, within: 1m, for: 10m } }")
        // Whether it is closed without a word.
        func knocks(_ words: String) throws -> String {
            let script = """
                import socket
                s = socket.create_connection(
                    ('127.0.0.1', \(fleet.listenPort)), source_address=('127.0.3.7', 0), timeout=10)
                try:
                    s.sendall(\(words))
                    print(s.recv(1))
                except ConnectionError: print(b'')
                """
            return try Program.run("/usr/bin/python3", ["-c", script]).output
        }
        let request = "bytes([0, 0, 0, 8, 4, 210, 22, 47])"
        #expect(try knocks(request) == "b'S'\n")
        for _ in 0..<3 { #expect(try knocks("b'\\xff' * 8") == "b''\n") }
        let isListed = await eventually(within: 20) {
            (try? fleet.nodeguard(["bans"]))?.output.contains("127.0.3.7/32  ysql      malformed-preamble") == true
        }
        let listed = try fleet.nodeguard(["bans"])
        #expect(isListed, "\(listed)")
        #expect(try knocks(request) == "b''\n")
        #expect(try fleet.psql("select 1").output == "1\n", "another address")
        #expect(try fleet.nodeguard(["reload", "--wait"]).status == 0)
        #expect(try knocks(request) == "b''\n")
        #expect((try fleet.status()["proxy"] as? [String: Any])?["bans"] as? Int == 1)
        let unknown = try fleet.nodeguard(["bans", "lift", "127.0.4.0/24"])
        #expect(unknown.status == 2 && unknown.errors == "there is no ban of 127.0.4.0/24\n", "\(unknown)")
        #expect(try fleet.nodeguard(["bans", "lift", "127.0.3.0/24"]).output == "1 ban was lifted\n")
        #expect(try knocks(request) == "b'S'\n")
        #expect(try fleet.nodeguard(["bans"]).output == "nobody is banned\n")
        let hasArrived = await eventually(within: 20) {
            let events = (try? fleet.arrivedEvents()) ?? ""
            return ["ban.began", "ban.lifted", "DELETE /v1/bans/127.0.3.0/24"].allSatisfy(events.contains)
        }
        #expect(hasArrived)
    }

    private func descriptorCount(_ fleet: Fleet) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(fleet.agent.identifier)/fd").count
    }
}
