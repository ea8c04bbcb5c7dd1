import Foundation
import IO
import Testing

@testable import Systemd

extension `The service manager` {
    @Suite struct `Sockets in its store` {
        private let loopback = SocketAddress.ipv4([127, 0, 0, 1], port: 0)

        private func taken(_ ports: PortKeeper, _ name: String, _ address: SocketAddress) -> SocketAddress? {
            guard let socket = ports.take(name, address) else { return nil }
            return socket.address
        }

        @Test func `come back under their name and address, each but once`() throws {
            let first = try ListeningSocket(loopback)
            let second = try ListeningSocket(loopback)
            let ports = SocketStore(inherited: [
                ("listener-db", dup(first.rawValue)), ("listener-db", dup(second.rawValue)),
            ]).ports
            #expect(taken(ports, "other", first.address) == nil)
            #expect(taken(ports, "db", .ipv4([127, 0, 0, 2], port: first.address.port ?? 0)) == nil)
            #expect(taken(ports, "db", second.address) == second.address)
            #expect(taken(ports, "db", second.address) == nil)
            #expect(taken(ports, "db", loopback) == first.address, "any port, if it is 0")
        }

        @Test func `at a path come back as long as their file is there`() throws {
            let path = NSTemporaryDirectory() + "nodeguard-\(UUID().uuidString)"
            defer { unlink(path) }
            let socket = try ListeningSocket(.unix(path: path), mode: 0o600)
            let ports = SocketStore(inherited: [
                ("listener-out", dup(socket.rawValue)), ("listener-out", dup(socket.rawValue)),
            ]).ports
            #expect(taken(ports, "out", .unix(path: path + "x")) == nil)
            #expect(taken(ports, "out", loopback) == nil)
            #expect(taken(ports, "out", .unix(path: path)) == .unix(path: path))
            unlink(path)
            #expect(taken(ports, "out", .unix(path: path)) == nil, "nobody would find it there")
        }

        @Test func `that do not listen are not taken`() {
            let plain = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let store = SocketStore(inherited: [("listener-db", plain)])
            #expect(taken(store.ports, "db", loopback) == nil)
        }

        @Test func `are put there and removed as sd_pid_notify_with_fds defines it`() throws {
            let notified = try NotifySocket()
            defer { notified.close() }
            let socket = try ListeningSocket(loopback)
            let ports = SocketStore(inherited: [("listener-gone", dup(socket.rawValue))]).ports
            ports.keep("db", socket.rawValue)
            #expect(notified.receive() == "FDSTORE=1\nFDNAME=listener-db")
            ports.forget("db")
            #expect(notified.receive() == "FDSTOREREMOVE=1\nFDNAME=listener-db")
            ports.forgetRest()
            #expect(notified.receive() == "FDSTOREREMOVE=1\nFDNAME=listener-gone")
        }
    }
}
