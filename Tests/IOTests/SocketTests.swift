import Glibc
import TestSupport
import Testing

@testable import IO

/// Two ends of one TCP connection on loopback, blocking being the tests' business.
private struct Ends: ~Copyable {
    let client: StreamSocket
    let server: StreamSocket

    static func make() throws -> Ends {
        let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
        let client = try StreamSocket.connect(to: listener.address)
        while true {
            if case .accepted(let server, _) = listener.accept() { return Ends(client: client, server: server) }
        }
    }
}

private func readAll(_ socket: borrowing StreamSocket, _ buffer: LaneBuffer) -> ReadOutcome {
    var event = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
    poll(&event, 1, 5000)
    return socket.read(into: buffer)
}

private func option(_ socket: borrowing StreamSocket, _ level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(socket.rawValue, level, name, &value, &length)
    return value
}

private func isPrepared(_ socket: borrowing StreamSocket) -> Bool {
    let tcp = Int32(IPPROTO_TCP)
    return option(socket, tcp, TCP_NODELAY) != 0 && option(socket, SOL_SOCKET, SO_KEEPALIVE) != 0
        && [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT].map { option(socket, tcp, $0) } == [60, 15, 4]
}

@Suite struct `A stream socket` {
    @Test(arguments: ["127.0.0.1:0", "[::1]:0"])
    func `sends at once and finds vanished peers, on either side`(address: String) throws {
        let listener = try ListeningSocket(try #require(SocketAddress(address)))
        listener.prepareConnections()
        let client = try StreamSocket.connect(to: listener.address)
        let wasPrepared = isPrepared(client)
        client.prepare(for: listener.address)
        let isNow = isPrepared(client)
        #expect(!wasPrepared && isNow)
        while true {
            guard case .accepted(let server, _) = listener.accept() else { continue }
            let inherits = isPrepared(server)
            #expect(inherits, "it does not inherit from its port")
            return
        }
    }

    @Test(arguments: [("127.0.0.9:77", "127.0.0.1:0"), ("[::1]:77", "[::1]:0")])
    func `comes from the address that it is told, from a port of its own`(source: String, server: String) throws {
        let listener = try ListeningSocket(try #require(SocketAddress(server)))
        let wanted = try #require(SocketAddress(source))
        let client = try StreamSocket.connect(to: listener.address, from: wanted)
        #expect(client.localAddress()?.host == wanted.host && client.localAddress()?.port != 77)
        while true {
            guard case .accepted(_, let peer) = listener.accept() else { continue }
            #expect(peer == client.localAddress())
            return
        }
    }

    @Test func `comes from an address of another machine, if it must, and never from none`() throws {
        #expect(StreamSocket.refusalOfTransparency() == nil, "the tests need CAP_NET_ADMIN")
        let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
        let stranger = try StreamSocket.connect(to: listener.address, from: .ipv4([192, 0, 2, 1], port: 5))
        #expect(stranger.localAddress()?.host == "192.0.2.1")
        for source: SocketAddress in [.unix(path: "/a"), .ipv6([UInt8](repeating: 1, count: 16), port: 1)] {
            do throws(IOError) {
                _ = try StreamSocket.connect(to: listener.address, from: source)
                Issue.record("it came from \(source)")
            } catch { #expect(error.code == EAFNOSUPPORT) }
        }
    }

    @Test func `moves bytes, blocks when there are none, and says when the peer has ended`() throws {
        let ends = try Ends.make()
        let out = LaneBuffer(capacity: 64)
        let into = LaneBuffer(capacity: 64)
        #expect(ends.server.read(into: into) == .wouldBlock)
        out.append(Array("hello".utf8))
        #expect(ends.client.write(from: out) == .bytes(5))
        #expect(out.isEmpty)
        #expect(readAll(ends.server, into) == .bytes(5))
        ends.client.shutdownWriting()
        let rest = LaneBuffer(capacity: 1)
        #expect(readAll(ends.server, rest) == .ended)
        out.append(Array("still".utf8))
        #expect(ends.server.write(from: out) == .bytes(5))
        into.removeAll()
        #expect(readAll(ends.client, into) == .bytes(5))
    }

    @Test func `writes short when the peer does not read, and keeps the rest`() throws {
        let ends = try Ends.make()
        let out = LaneBuffer(capacity: 16 << 20)
        out.append([UInt8](repeating: 7, count: out.capacity))
        var written = 0
        var last = ends.client.write(from: out)
        while case .bytes(let count) = last, !out.isEmpty {
            written += count
            last = ends.client.write(from: out)
        }
        #expect(last == .wouldBlock)
        #expect(!out.isEmpty)
        #expect(out.count <= out.capacity - written)
    }

    @Test func `never takes more from the kernel than it was allowed to`() throws {
        let ends = try Ends.make()
        let out = LaneBuffer(capacity: 64)
        out.append(Array("12345678rest".utf8))
        _ = ends.client.write(from: out)
        let into = LaneBuffer(capacity: 64)
        var event = pollfd(fd: ends.server.rawValue, events: Int16(POLLIN), revents: 0)
        poll(&event, 1, 5000)
        #expect(ends.server.peek(into: into, limit: 1) == .bytes(1))
        into.removeAll()
        #expect(ends.server.read(into: into, limit: 8) == .bytes(8))
        #expect(into.bytes() == Array("12345678".utf8))
        into.removeAll()
        #expect(ends.server.read(into: into) == .bytes(4))
    }

    @Test func `refuses to connect where nobody listens, in the system's words`() throws {
        let port: UInt16
        do {
            let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
            port = try #require(listener.address.port)
        }
        let address = try #require(SocketAddress("127.0.0.1:\(port)"))
        do {
            let socket = try StreamSocket.connect(to: address)
            var event = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
            poll(&event, 1, 5000)
            #expect(socket.connectError()?.code == ECONNREFUSED)
        } catch {
            #expect(error.description == "connect to 127.0.0.1:\(port): Connection refused")
        }
    }
}

@Suite struct `A socket address` {
    @Test(arguments: ["127.0.0.1:5432", "[::1]:5433", "[fe80::1]:1", "unix:/run/x.sock", "0.0.0.0:0"])
    func `is read and written the same way`(text: String) throws {
        #expect(try #require(SocketAddress(text)).description == text)
    }

    @Test(arguments: [
        "", "localhost:1", "127.0.0.1", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80", "unix:relative", "1.2.3.4:-1",
        "1.2.3.4:+1", "1.2.3.4:", "1.2.3:1", "unix:/a\0b", "[::1%lo]:1", ":1",
    ])
    func `is refused where it is not literal and whole`(text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test func `is found by name, and an unknown name is told in the resolver's words`() throws {
        #expect(try SocketAddress.resolve("localhost:80").contains(.ipv4([127, 0, 0, 1], port: 80)))
        let error = #expect(throws: IOError.self) { try SocketAddress.resolve("no-such-name.invalid:80") }
        #expect(error?.description.hasPrefix("resolve no-such-name.invalid: ") == true)
        #expect(error?.description.contains("No such file") == false)
    }

    @Test(arguments: [
        ("127.0.0.1:1", true), ("127.255.0.9:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true),
        ("unix:/run/x", true), ("0.0.0.0:1", false), ("128.0.0.1:1", false), ("[::]:1", false), ("[::2]:1", false),
        ("[::ffff:192.0.2.1]:1", false), ("[fe80::1]:1", false),
    ])
    func `is loopback only if no other machine reaches it`(text: String, isLoopback: Bool) {
        #expect(SocketAddress(text)?.isLoopback == isLoopback)
    }

    @Test func `of a unix socket is bounded by what the kernel takes`() {
        #expect(SocketAddress("unix:/" + String(repeating: "a", count: 106)) != nil)
        #expect(SocketAddress("unix:/" + String(repeating: "a", count: 107)) == nil)
    }
}

@Suite struct `A listening unix socket` {
    @Test func `replaces a file that nobody answers on, and not one that somebody does`() throws {
        let folder = try temporaryDirectory()
        let path = folder.file("socket")
        let address = try #require(SocketAddress("unix:" + path))
        do {
            let first = try ListeningSocket(address, mode: 0o600)
            #expect(throws: IOError.self) { _ = try ListeningSocket(address) }
            #expect(first.rawValue >= 0)
        }
        _ = try ListeningSocket(address, mode: 0o600)
    }
}

@Suite struct `A seqpacket socket` {
    @Test func `leaves a file alone that is none, and belongs to the group that it was given`() throws {
        let path = "/tmp/nodeguard-seq-file-\(getpid())"
        defer { unlink(path) }
        try Files.write([1, 2, 3], to: path, mode: 0o600)
        #expect(throws: IOError.self) { _ = try SeqPacketSocket.listen(at: path, mode: 0o660) }
        #expect(try Files.read(path, limit: 10) == [1, 2, 3])
        unlink(path)
        let socket = try SeqPacketSocket.listen(at: path, mode: 0o660, group: "daemon")
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_gid == getgrnam("daemon").pointee.gr_gid)
        #expect(status.st_mode & 0o777 == 0o660 && socket.rawValue >= 0)
        unlink(path)
        #expect(throws: IOError.self) {
            _ = try SeqPacketSocket.listen(at: path, mode: 0o660, group: "no-such-group")
        }
    }

    @Test func `keeps messages apart and passes a descriptor`() throws {
        let folder = try temporaryDirectory()
        let path = folder.file("socket")
        let listener = try SeqPacketSocket.listen(at: path, mode: 0o600)
        let client = try SeqPacketSocket.connect(to: path)
        guard let server = try listener.accept() else { throw IOError("accept", code: EIO) }
        var pipe = try Pipe()
        guard let reader = pipe.takeReader(), let writer = pipe.takeWriter() else { throw IOError("pipe", code: EIO) }
        try client.send([1, 2, 3], descriptor: reader)
        try client.send([4])
        var first = try server.receive(limit: 16)
        #expect(first.bytes == [1, 2, 3])
        guard let passed = first.takeDescriptor() else { throw IOError("no descriptor came", code: EIO) }
        try writer.writeAll([9])
        let buffer = LaneBuffer(capacity: 4)
        #expect(try passed.read(into: buffer) == 1)
        var second = try server.receive(limit: 16)
        #expect(second.bytes == [4])
        let hasNone = second.takeDescriptor() == nil
        #expect(hasNone)
        #expect(try server.peerCredentials().process == getpid())
        try client.send([UInt8](repeating: 0, count: 17))
        #expect(throws: IOError.self) { _ = try server.receive(limit: 16) }
    }
}
