import Foundation
import Glibc
import Testing

@testable import Status

@Suite(.serialized) struct `A hostile local client` {
    private let fixture = Fixture()

    @Test(arguments: [
        "\u{16}\u{3}\u{1}\u{0}", "GET\r\n\r\n", "show stat\n", "GET / HTTP/9.9\r\n\r\n",
        "GET /livez HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ])
    func `that speaks something else is turned away`(garbage: String) async throws {
        try await withServer(fixture) { sockets in
            let peer = try UnixPeer(sockets.statusPath)
            peer.send(garbage)
            let answer = try await peer.readToEnd(within: 20)
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
            #expect(try await Curl.ask(sockets.statusPath, "/livez").status == 200)
        }
    }

    @Test func `that sends endless headers is cut off`() async throws {
        try await withServer(fixture) { sockets in
            let peer = try UnixPeer(sockets.statusPath)
            peer.send(
                "GET /livez HTTP/1.1\r\n"
                    + String(repeating: "X: " + String(repeating: "y", count: 90) + "\r\n", count: 90))
            let answer = try await peer.readToEnd(within: 20)
            #expect(!answer.contains(" 200 "), "\(answer)")
        }
    }

    @Test func `that dribbles or is silent loses its connection in seconds`() async throws {
        try await withServer(fixture) { sockets in
            let silent = try UnixPeer(sockets.statusPath)
            let slow = try UnixPeer(sockets.statusPath)
            slow.send("GET /livez HT")
            #expect(try await silent.readToEnd(within: 20) == "")
            slow.send("TP/1.1\r\n")
            let answer = try await slow.readToEnd(within: 20)
            #expect(!answer.contains(" 200 "))
        }
    }

    @Test func `cannot keep others out: idle connections make room`() async throws {
        try await withServer(fixture) { sockets in
            let idle = try (0..<StatusConfiguration.clientLimit + 8).map { _ in try UnixPeer(sockets.statusPath) }
            let answer = try await Curl.ask(sockets.statusPath, "/livez")
            #expect(answer.status == 200, "\(answer)")
            #expect(try await Curl.ask(sockets.controlPath, "/livez").status == 200)
            withExtendedLifetime(idle) {}
        }
    }
}

/// A client that sends what no honest one would.
final class UnixPeer: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let descriptor = descriptor
        let result = withUnixAddress(path) { connect(descriptor, $0, $1) }
        try #require(result == 0, "connect \(path): errno \(errno)")
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// Everything up to the end of the connection; a thread of its own waits, never one of Swift's pool.
    func readToEnd(within seconds: Int) async throws -> String {
        let descriptor = descriptor
        let text: String? = await withCheckedContinuation { done in
            Thread.detachNewThread {
                var limit = timeval(tv_sec: seconds, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                var all: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = recv(descriptor, &buffer, buffer.count, 0)
                    if count > 0 { all += buffer[..<count]; continue }
                    let isEnd = count == 0 || errno == ECONNRESET
                    return done.resume(returning: isEnd ? String(decoding: all, as: UTF8.self) : nil)
                }
            }
        }
        return try #require(text, "the server kept the connection open")
    }
}

/// A socket that listens and never answers.
final class UnixListener: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let descriptor = descriptor
        let result = withUnixAddress(path) { bind(descriptor, $0, $1) }
        try #require(result == 0 && listen(descriptor, 8) == 0)
    }

    func close() { Glibc.close(descriptor) }
}

private func withUnixAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
