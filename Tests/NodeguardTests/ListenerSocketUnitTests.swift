import IO
import Testing

@testable import nodeguard

@Suite struct `The socket unit of a listener` {
    /// The boot test has systemd start one.
    @Test func `opens all its ports, by the name that the daemon knows them by`() {
        let addresses = ["0.0.0.0:5433", "[::]:5433", "10.0.0.7:6000"].compactMap(SocketAddress.init)
        let lines = ListenerSocketUnit(name: "ysql", addresses: addresses).text.split(separator: "\n")
        #expect(
            lines.filter { $0.hasPrefix("ListenStream=") } == [
                "ListenStream=0.0.0.0:5433", "ListenStream=[::]:5433", "ListenStream=10.0.0.7:6000",
            ])
        #expect(lines.contains("FileDescriptorName=listener-ysql"))
        #expect(lines.contains("Service=nodeguard.service") && lines.contains("BindIPv6Only=ipv6-only"))
        #expect(!lines.contains { $0.hasPrefix("Socket") })
    }

    @Test func `of a tunnel gives its socket to those who may use it`() throws {
        let text = """
            certificates: { roles: [ { name: own, files: { chain: /a, key: /b } } ] }
            proxy: { tunnels: [ { name: out, listen: ["unix:/run/out", "127.0.0.1:1"], socket-mode: 660,
                socket-group: postgres, connect: "db:1", certificate: own, trust: "file:/ca" } ] }
            """
        let tunnel = try #require(try NodeConfiguration.parse(text, path: "test").proxy.tunnels.first)
        let lines = ListenerSocketUnit(tunnel).text.split(separator: "\n")
        for line in [
            "ListenStream=/run/out", "ListenStream=127.0.0.1:1", "SocketUser=nodeguard", "SocketMode=0660",
            "SocketGroup=postgres", "FileDescriptorName=listener-out",
        ] {
            #expect(lines.contains { $0 == line }, "\(line)")
        }
    }
}
