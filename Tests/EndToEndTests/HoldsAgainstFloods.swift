import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct `In a flood` {
    /// Which floods: `Floods/floods.py`.
    @Test func `honest clients are served, and established connections live on`() async throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let backend = try Program("/usr/bin/python3", ["-c", Self.echo], log: folder + "/backend.log")
        #expect(await eventually(within: 20) { backend.log.hasSuffix("\n") })
        let port = try freePort()
        let fleet = try await Fleet(
            listeners: """
                    - name: echo
                      listen: ["127.0.0.1:\(port)"]
                      protocol: tcp
                      backend: 127.0.0.1:\(backend.log.trimmingCharacters(in: .newlines))
                      certificate: database
                      trust: [cluster]
                      allow: [ { common-name: shop } ]
                """)
        let foreign = try TestAuthority(name: "Foreign").client(name: "shop")
        let isAll = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"
        let visits = isAll ? 5000 : 500
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Floods/floods.py").path
        let outcome = try Program.run(
            "/usr/bin/python3",
            [
                "-B", script, String(visits), String(port), fleet.folder + "/trust.pem",
                fleet.folder + "/shop/client.crt",
                fleet.folder + "/shop/client.key", foreign.chainPath, foreign.keyPath,
            ])
        print(outcome.output)
        #expect(outcome.status == 0 && outcome.lines.count == 6, "\(outcome)")
        var failures = 0
        for line in outcome.lines {
            let counts = line.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
            let (made, failed, broken) = (counts[0], counts[1], counts[3])
            #expect(made >= (line.hasPrefix("silent") ? 10_000 : 100), "\(line)")
            #expect(broken == 0, "\(line)")
            failures += failed
        }
        #expect(failures * 1000 <= visits * outcome.lines.count, "\(outcome)")
        #expect(fleet.agent.isRunning && fleet.httpStatus("/readyz") == "200")
        let isCalm = await eventually(within: 30) {
            (try? fleet.status()).map { Self.open($0) == 0 } ?? false
        }
        let after = try fleet.status()
        #expect(isCalm, "\(after)")
    }

    private static func open(_ status: [String: Any]) -> Int? {
        let proxy = status["proxy"] as? [String: Any]
        guard let open = proxy?["connections"] as? Int, let pending = proxy?["unauthenticated"] as? Int else {
            return nil
        }
        return open + pending
    }

    /// Prints its port, then returns to each client what it sent.
    private static let echo = """
        import asyncio

        async def answer(reader, writer):
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            except ConnectionError:
                pass
            writer.close()

        async def main():
            server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()

        asyncio.run(main())
        """
}
