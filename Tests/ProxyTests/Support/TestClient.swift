import Glibc
import IO
import OpenSSL
import TestSupport

@testable import Proxy

/// A TLS client that a test drives byte by byte; blocking, used by one thread at a time.
final class TestClient {
    enum Beginning { case sslRequest, direct }

    struct Closed: Error, CustomStringConvertible {
        let description: String
    }

    struct Left: Error {}

    let socket: TestSocket
    private var bytesLeft: Int
    private let session: TLSSession
    private let cipherIn = LaneBuffer(capacity: 256 << 10)
    private let cipherOut = LaneBuffer(capacity: 256 << 10)
    private let plain = LaneBuffer(capacity: 320 << 10)
    private var unread: [UInt8] = []

    /// Connects and shakes hands.
    ///
    /// `leavesAfter`: it vanishes after so many bytes of TLS, and throws `Left`. `header`: what it sends before
    /// anything else.
    init(
        _ port: UInt16, as identity: TestIdentity?, _ beginning: Beginning, from source: [UInt8]? = nil,
        receiveBuffer: Int32? = nil, maximum: TLSVersion = .tls13, protocols: [String]? = nil,
        leavesAfter: Int = .max, serverName: String = "localhost", header: ProxyHeader? = nil
    ) throws {
        bytesLeft = leavesAfter
        socket = try TestSocket(port: port, from: source, receiveBuffer: receiveBuffer)
        if let header { try socket.send(header.bytes) }
        let names = protocols ?? (beginning == .direct ? [] : ["postgresql"])
        let context = try TLSContext.client(
            identity: try identity.map { try TLSIdentity(chainFile: try $0.chainPEM, keyFile: $0.keyPath) },
            trust: try TrustAnchors(pem: try Stage.authority.get().root.certificatePEM), serverName: serverName,
            maximum: maximum, applicationProtocols: names)
        session = TLSSession(context, TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut))
        if beginning == .sslRequest {
            try socket.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
            let answer = try socket.receive(1)
            guard answer == [UInt8(ascii: "S")] else { throw Closed(description: "the answer was \(answer)") }
        }
        try shakeHands()
    }

    private func shakeHands() throws {
        while true {
            let outcome = session.handshake()
            try flush()
            switch outcome {
            case .finished: return
            case .failed(let failure), .finishedUnverified(let failure): throw failure
            case .wantsInput, .wantsOutput: try fill("during the handshake")
            }
        }
    }

    var localAddress: String? { StreamSocket(owning: dup(socket.raw)).localAddress()?.description }

    var serverSerial: String { session.peerCertificate?.serial ?? "" }

    /// From now on there is a KeyUpdate before each record.
    func replacesKeyAlways() { session.recordsPerKey = 1 }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(128 << 10)
            rest = rest.dropFirst(piece.count)
            plain.append(Array(piece))
            while !plain.isEmpty {
                if case .failed(let failure) = session.write(from: plain) { throw failure }
                try flush()
            }
        }
    }

    /// In one packet with its close_notify.
    func send(_ bytes: [UInt8], thenEnds: Bool) throws {
        plain.append(bytes)
        if case .failed(let failure) = session.write(from: plain) { throw failure }
        if thenEnds { session.close() }
        try flush()
        if thenEnds { socket.endWriting() }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// What comes next; empty after the server's close_notify.
    func receive() throws -> [UInt8] {
        while true {
            let outcome = session.read(into: plain)
            defer { plain.removeAll() }
            try flush()
            switch outcome {
            case .bytes: return plain.bytes()
            case .ended: return []
            case .failed(let failure): throw failure
            case .wantsInput, .wantsOutput: try fill("without the end of TLS")
            }
        }
    }

    func receive(count: Int) throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count {
            let piece = try receive()
            if piece.isEmpty { throw Closed(description: "ended after \(all.count) bytes") }
            all += piece
        }
        return all
    }

    /// Exactly so many; what is more stays for the next call.
    func take(_ count: Int) throws -> [UInt8] {
        while unread.count < count {
            let piece = try receive()
            if piece.isEmpty { throw Closed(description: "ended after \(unread.count) bytes") }
            unread += piece
        }
        defer { unread.removeFirst(count) }
        return Array(unread[..<count])
    }

    func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try receive()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    /// close_notify, then FIN; reading may go on.
    func endWriting() throws {
        session.close()
        try flush()
        socket.endWriting()
    }

    /// close_notify and `bytes` in one packet, and then the connection is reset.
    func endTLS(thenSends bytes: [UInt8]) throws {
        session.close()
        try socket.send(cipherOut.bytes() + bytes)
        cipherOut.removeAll()
        socket.resetOnClose()
    }

    private func flush() throws {
        if cipherOut.isEmpty { return }
        if cipherOut.count > bytesLeft {
            try socket.send(cipherOut.bytes(limit: bytesLeft))
            throw Left()
        }
        bytesLeft -= cipherOut.count
        try socket.send(cipherOut.bytes())
        cipherOut.removeAll()
    }

    private func fill(_ moment: String) throws {
        let bytes = try socket.receive(cipherIn.freeCount)
        if bytes.isEmpty { throw Closed(description: "the connection ended \(moment)") }
        cipherIn.append(bytes)
    }
}

/// A StartupMessage of protocol 3.0.
func startup(user: String = "shop", database: String = "orders") -> [UInt8] {
    let body = Array("user\0\(user)\0database\0\(database)\0\0".utf8)
    return [
        0, 0, UInt8(truncatingIfNeeded: (body.count + 8) >> 8), UInt8(truncatingIfNeeded: body.count + 8), 0, 3, 0, 0,
    ]
        + body
}
