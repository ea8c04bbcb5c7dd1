import IO
import TestSupport
import Testing

@testable import Proxy

@Suite struct `Ports that listen` {
    /// As the kernel prints them: a database on 127.0.0.1 and [::], a session of it, and a server on 10.0.0.5.
    private static let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 21336 1 0 100 0
           1: 0500000A:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21337 1 0 100 0
           2: 0100007F:1538 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000   107        0 21338 1 0 20
        broken
        """
    private static let table6 = """
          sl  local_address                         remote_address                        st tx_queue
           0: 00000000000000000000000000000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000
           1: 00000000000000000000000001000000:1539 00000000000000000000000000000000:0000 0A 00000000:00000000
           2: 0000000000000000FFFF00000100007F:153A 00000000000000000000000000000000:0000 0A 00000000:00000000
        """

    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(text)) }

    @Test func `are read from the kernel's tables`() throws {
        #expect(
            ListeningPorts.listening(Array(Self.table.utf8))
                == [try address("127.0.0.1:5432"), try address("10.0.0.5:8080")])
        #expect(
            ListeningPorts.listening(Array(Self.table6.utf8)).map(\.description)
                == ["[::]:5432", "[::1]:5433", "[::ffff:127.0.0.1]:5434"])
        #expect(ListeningPorts.listening([]) == [])
    }

    @Test func `are a way around when they are not on loopback, and not the proxy's own`() throws {
        let ports = ListeningPorts(
            ListeningPorts.listening(Array(Self.table.utf8)) + ListeningPorts.listening(Array(Self.table6.utf8)))
        let everywhere = try address("[::]:5432")
        #expect(ports.ways(around: try address("127.0.0.1:5432"), own: []) == [everywhere])
        #expect(ports.ways(around: try address("127.0.0.1:5432"), own: [everywhere]) == [])
        for other in ["[::1]:5433", "127.0.0.1:5434", "127.0.0.1:9999", "10.9.9.9:5432", "unix:/tmp/socket"] {
            #expect(ports.ways(around: try address(other), own: []) == [], "\(other)")
        }
        let here = try address("10.0.0.5:8080")
        #expect(ports.ways(around: here, own: []) == [here])
    }

    @Test func `of this machine are found`() throws {
        let socket = try ListeningSocket(try address("127.0.0.1:0"))
        #expect(try ListeningPorts.current().addresses.contains(socket.address))
    }
}
