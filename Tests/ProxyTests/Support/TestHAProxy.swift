import IO
import TestSupport

/// A real HAProxy on loopback, for one test.
final class TestHAProxy: Sendable {
    private let folder: TemporaryDirectory
    private let process: Subprocess
    let port: UInt16

    var address: SocketAddress { .ipv4([127, 0, 0, 1], port: port) }

    /// `frontend`: what is done with those who come to `bind`.
    private init(bind options: String, _ frontend: String) async throws {
        folder = try temporaryDirectory()
        port = UInt16(try freePort())
        let configuration = try folder.write(
            """
            defaults
                timeout connect 5s
                timeout client 20s
                timeout server 20s
            frontend front
                bind 127.0.0.1:\(port) \(options)
            \(frontend)

            """, to: "haproxy.cfg")
        let process = try Subprocess("/usr/sbin/haproxy", ["-db", "-f", configuration])
        self.process = process
        let port = self.port
        guard await eventually(within: 20, { (try? TestSocket(port: port)) != nil || !process.isRunning }),
            process.isRunning
        else { throw TestSupportError("HAProxy does not run: \(process.errors)") }
    }

    /// Takes a header from each client, and answers each HTTP request with what it has learnt of it.
    static func told() async throws -> TestHAProxy {
        try await TestHAProxy(
            bind: "accept-proxy",
            """
                mode http
                http-request return status 200 content-type text/plain lf-string \
            "<%[src]:%[src_port] at %[dst]:%[dst_port], SNI %[fc_pp_authority], number %[fc_pp_unique_id]>"
            """)
    }

    /// Sends a header before each of its clients.
    static func telling(_ port: UInt16) async throws -> TestHAProxy {
        try await TestHAProxy(
            bind: "",
            """
                mode tcp
                default_backend node
            backend node
                mode tcp
                server one 127.0.0.1:\(port) send-proxy-v2 proxy-v2-options crc32c
            """)
    }
}
