import IO

/// The TCP sockets of this network namespace that listen, as the kernel tells them (proc_net_tcp(5)).
///
/// `/proc/self/net` is there even under `ProcSubset=pid` (systemd.exec(5)).
struct ListeningPorts: Equatable {
    private(set) var addresses: [SocketAddress] = []

    /// Some 150 bytes for each connection of the node.
    private static let sizeLimit = 64 << 20

    init(_ addresses: [SocketAddress]) { self.addresses = addresses }

    static func current() throws(IOError) -> ListeningPorts {
        var all: [SocketAddress] = []
        for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] where Files.exists(path) {
            all += listening(try Files.read(path, limit: sizeLimit))
        }
        return ListeningPorts(all)
    }

    /// Of one table; a line that cannot be read is left out.
    static func listening(_ table: [UInt8]) -> [SocketAddress] {
        table.split(separator: UInt8(ascii: "\n")).dropFirst().compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 4)
            guard fields.count >= 4, fields[3].elementsEqual("0A".utf8) else { return nil }
            return address(fields[1])
        }
    }

    /// `0100007F:1538`: words of four bytes as the processor keeps them, then the port as people write it.
    private static func address(_ field: ArraySlice<UInt8>) -> SocketAddress? {
        let parts = String(decoding: field, as: UTF8.self).split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16),
            let words = PeerAttributes.hexadecimal(parts[0]), words.count == 4 || words.count == 16
        else { return nil }
        let bytes = stride(from: 0, to: words.count, by: 4).flatMap { start -> [UInt8] in
            let word = Array(words[start..<start + 4])
            return Self.isLittleEndian ? word.reversed() : word
        }
        return bytes.count == 4 ? .ipv4(bytes, port: port) : .ipv6(bytes, port: port)
    }

    private static let isLittleEndian = 1.littleEndian == 1

    /// Where else than on loopback something listens on a backend's port, so that clients reach it past the proxy.
    ///
    /// `own`: sockets of the proxy itself. A backend that is not on loopback counts only if it is on this node.
    func ways(around backend: SocketAddress, own: [SocketAddress]) -> [SocketAddress] {
        guard let port = backend.port else { return [] }
        if !backend.isLoopback { return addresses.contains(backend) ? [backend] : [] }
        return addresses.filter { $0.port == port && !$0.isLoopback && !own.contains($0) }
    }
}
