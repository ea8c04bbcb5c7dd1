import Glibc
import Logging
import Testing

@testable import Systemd

/// These tests set environment variables that libsystemd reads, so they run one after the other.
@Suite(.serialized) struct `The service manager` {
    @Test func `hears each notification as sd_notify defines it, byte for byte`() throws {
        let socket = try NotifySocket()
        defer { socket.close() }
        let manager = ServiceManager()
        manager.ready("ready; 2 listeners")
        #expect(socket.receive() == "READY=1\nSTATUS=ready; 2 listeners")
        manager.show("one\nREADY=1")
        #expect(socket.receive() == "STATUS=one READY=1")
        manager.stopping("draining")
        #expect(socket.receive() == "STOPPING=1\nSTATUS=draining")
        manager.pingWatchdog()
        #expect(socket.receive() == "WATCHDOG=1")
        manager.reloading()
        let reloading = try #require(socket.receive())
        #expect(reloading.wholeMatch(of: /RELOADING=1\nMONOTONIC_USEC=[0-9]+/) != nil)
    }

    @Test func `is absent without its socket, and nothing is sent`() {
        unsetenv("NOTIFY_SOCKET")
        #expect(!ServiceManager().isPresent)
        ServiceManager().ready("nobody hears")
    }

    @Test func `asks for pings only where the unit says so`() {
        unsetenv("WATCHDOG_USEC")
        #expect(ServiceManager().watchdogInterval == nil)
        setenv("WATCHDOG_USEC", "20000000", 1)
        #expect(ServiceManager().watchdogInterval == .seconds(20))
        setenv("WATCHDOG_PID", "1", 1)
        #expect(ServiceManager().watchdogInterval == nil)
        unsetenv("WATCHDOG_USEC")
        unsetenv("WATCHDOG_PID")
    }
}

/// A datagram socket in the abstract namespace, as systemd gives its services.
struct NotifySocket {
    let descriptor: Int32

    init() throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let name = "nodeguard-test-\(getpid())"
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: [0] + Array(name.utf8))
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(bound == 0)
        setenv("NOTIFY_SOCKET", "@" + name, 1)
    }

    func receive() -> String? {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&event, 1, 5000) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    func close() {
        unsetenv("NOTIFY_SOCKET")
        _ = Glibc.close(descriptor)
    }
}
