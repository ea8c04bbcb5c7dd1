import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct `A stream through the proxy` {
    /// Each end sums up what it sends and what it receives: `Streams/duplex.py`.
    @Test func `arrives byte for byte while another comes back, from one byte to a gibibyte`() async throws {
        let (port, backend) = (try freePort(), try freePort())
        let fleet = try await Fleet(
            listeners: """
                    - name: echo
                      listen: ["127.0.0.1:\(port)"]
                      protocol: tcp
                      backend: 127.0.0.1:\(backend)
                      certificate: database
                      trust: [cluster]
                      allow: [ { common-name: shop } ]
                """)
        let isAll = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"
        let largest = isAll ? 1 << 30 : 64 << 20
        let sizes = [1, 5, 16_383, 16_384, 16_385, 65_537, 1_000_003, largest]
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Streams/duplex.py").path
        let outcome = try Program.run(
            "/usr/bin/python3",
            [
                "-B", script, String(port), String(backend), fleet.folder + "/trust.pem",
                fleet.folder + "/shop/client.crt", fleet.folder + "/shop/client.key",
            ] + sizes.map(String.init))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.lines.map(String.init) == sizes.map { "\($0) bytes each way: as they were" })
        #expect(fleet.agent.isRunning)
    }
}
