import CLinux
import Glibc

package enum ReadOutcome: Equatable {
    case bytes(Int)
    case wouldBlock
    case ended
    case failed(IOError)
}

package enum WriteOutcome: Equatable {
    /// May be fewer than the buffer held; the rest is still in it.
    case bytes(Int)
    case wouldBlock
    case failed(IOError)
}

/// A connected (or connecting) non-blocking stream socket, TCP or unix.
package struct StreamSocket: ~Copyable, Sendable {
    private let descriptor: Descriptor

    package init(owning raw: Int32) { descriptor = Descriptor(owning: raw) }

    package var rawValue: Int32 { descriptor.rawValue }

    /// Begins to connect. It is done when the socket becomes writable; `connectError` then says how it went.
    ///
    /// `source`: from where the connection is to come, though it is no address of this machine; its port counts for
    /// nothing. The kernel permits it to whoever has CAP_NET_ADMIN (ip(7), IP_TRANSPARENT), and answers must be routed
    /// back here.
    package static func connect(
        to address: SocketAddress, from source: SocketAddress? = nil
    ) throws(IOError) -> StreamSocket {
        let raw = socket(address.family, streamType, 0)
        guard raw >= 0 else { throw IOError("connect to \(address)") }
        let new = StreamSocket(owning: raw)
        if let source { try new.assume(source, towards: address) }
        let outcome = address.withPointer { target, length in retrying { Glibc.connect(raw, target, length) } }
        guard outcome == 0 || errno == EINPROGRESS else { throw IOError("connect to \(address)") }
        return new
    }

    /// Why the kernel does not permit connections from addresses of others; nil: it does.
    package static func refusalOfTransparency() -> IOError? {
        let raw = socket(AF_INET, streamType, 0)
        guard raw >= 0 else { return IOError("make a socket") }
        let probe = StreamSocket(owning: raw)
        guard setOption(probe.rawValue, Int32(IPPROTO_IP), IP_TRANSPARENT, 1) else {
            return IOError("take a client's address as source")
        }
        return nil
    }

    private borrowing func assume(_ source: SocketAddress, towards target: SocketAddress) throws(IOError) {
        let isPermitted: Bool
        let anyPort: SocketAddress
        switch (source, target) {
        case (.ipv4(let bytes, _), .ipv4):
            isPermitted = setOption(rawValue, Int32(IPPROTO_IP), IP_TRANSPARENT, 1)
            anyPort = .ipv4(bytes, port: 0)
        case (.ipv6(let bytes, _), .ipv6):
            isPermitted = setOption(rawValue, Int32(IPPROTO_IPV6), IPV6_TRANSPARENT, 1)
            anyPort = .ipv6(bytes, port: 0)
        default: throw IOError("connect to \(target) from \(source)", code: EAFNOSUPPORT)
        }
        guard isPermitted else { throw IOError("take \(source) as source") }
        // The port is chosen by connect(2), which knows where to: many may have the same one. Of IPv6, too.
        setOption(rawValue, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
        guard anyPort.withPointer({ bind(rawValue, $0, $1) }) == 0 else { throw IOError("take \(source) as source") }
    }

    package borrowing func connectError() -> IOError? {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(rawValue, SOL_SOCKET, SO_ERROR, &code, &length)
        return code == 0 ? nil : IOError("connect", code: code)
    }

    /// One recv into the free space, of which there must be some.
    package borrowing func read(into buffer: LaneBuffer) -> ReadOutcome { receive(into: buffer, .max, 0) }

    /// Takes no more than `limit` bytes out of the kernel.
    package borrowing func read(into buffer: LaneBuffer, limit: Int) -> ReadOutcome { receive(into: buffer, limit, 0) }

    /// Looks at bytes that stay in the kernel.
    package borrowing func peek(into buffer: LaneBuffer, limit: Int) -> ReadOutcome {
        receive(into: buffer, limit, Int32(MSG_PEEK))
    }

    private borrowing func receive(into buffer: LaneBuffer, _ limit: Int, _ flags: Int32) -> ReadOutcome {
        precondition(buffer.freeCount > 0 && limit > 0)
        var count = 0
        buffer.withFreeSpace { space in
            count = retrying { recv(rawValue, space.baseAddress, min(space.count, limit), flags) }
            return max(0, count)
        }
        if count > 0 { return .bytes(count) }
        if count == 0 { return .ended }
        return errno == EAGAIN ? .wouldBlock : .failed(IOError("receive"))
    }

    /// One send of what the buffer holds; consumes what the kernel took.
    package borrowing func write(from buffer: LaneBuffer) -> WriteOutcome {
        if buffer.isEmpty { return .bytes(0) }
        let count = buffer.withReadableBytes { bytes in
            retrying { send(rawValue, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
        }
        guard count >= 0 else { return errno == EAGAIN ? .wouldBlock : .failed(IOError("send")) }
        buffer.consume(count)
        return .bytes(count)
    }

    /// Blocks the thread until it can be read or written, or has failed; ETIMEDOUT when `deadline` comes first. For
    /// queues that may wait, never for a lane.
    package borrowing func wait(forWriting: Bool, until deadline: ContinuousClock.Instant) throws(IOError) {
        var wish = pollfd(fd: rawValue, events: Int16(forWriting ? POLLOUT : POLLIN), revents: 0)
        while true {
            let left = ContinuousClock.now.duration(to: deadline).seconds
            if left <= 0 { throw IOError("wait for the peer", code: ETIMEDOUT) }
            // Rounded up, or the last millisecond would be a busy loop.
            let count = poll(&wish, 1, Int32(min(left * 1000 + 1, 60_000)))
            if count > 0 { return }
            guard count == 0 || errno == EINTR else { throw IOError("wait for the peer") }
        }
    }

    package borrowing func shutdownWriting() { _ = shutdown(rawValue, Int32(SHUT_WR)) }

    /// The close that follows sends RST instead of FIN: the peer learns that it did not get everything.
    package borrowing func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(rawValue, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// Sends at once, and finds out when the peer has vanished. What a port has accepted does so by
    /// `ListeningSocket.prepareConnections`; a unix socket needs neither.
    package borrowing func prepare(for address: SocketAddress) {
        if case .unix = address { return }
        setNoDelay(rawValue)
        setKeepAlive(rawValue)
    }

    /// This end's own address; nil where it has none.
    package borrowing func localAddress() -> SocketAddress? { SocketAddress(localOf: rawValue) }

    /// Who is at the other end of a unix socket.
    package borrowing func peerCredentials() throws(IOError) -> PeerCredentials { try PeerCredentials(of: rawValue) }
}
