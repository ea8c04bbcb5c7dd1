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
    }
}
