import IO
import OpenSSL
import TestSupport

/// TLS of a database that a test plays: demands a client certificate; blocking, used by one thread at a time.
final class TestTLSServer {
    struct Closed: Error, CustomStringConvertible {
        let description: String
    }

    let socket: TestSocket
    /// Sends records in pieces of random sizes.
    private let splits: Bool
    private let session: TLSSession
    private let cipherIn = LaneBuffer(capacity: 64 << 10)
    private let cipherOut = LaneBuffer(capacity: 256 << 10)
    private let plain = LaneBuffer(capacity: 96 << 10)

    static func context(
        _ identity: TestIdentity, maximum: TLSVersion = .tls13, trusting authority: TestAuthority? = nil,
        protocols: [String] = []
    ) throws -> TLSContext {
        try TLSContext.server(
            identity: try TLSIdentity(chainFile: try identity.chainPEM, keyFile: identity.keyPath),
            trust: try TrustAnchors(pem: try (authority ?? Stage.authority.get()).root.certificatePEM),
            maximum: maximum, applicationProtocols: protocols)
    }

    init(_ socket: TestSocket, _ context: TLSContext, splits: Bool = false) throws {
        self.socket = socket
        self.splits = splits
        session = TLSSession(context, TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut))
        while true {
            let outcome = session.handshake()
            try flush()
            switch outcome {
            case .finished: return
            case .failed(let failure), .finishedUnverified(let failure): throw failure
            case .wantsInput, .wantsOutput: try fill()
            }
        }
    }

    var clientSerial: String { session.peerCertificate?.serial ?? "" }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(splits ? Int.random(in: 1...20_000) : 64 << 10)
            rest = rest.dropFirst(piece.count)
            plain.append(Array(piece))
            while !plain.isEmpty {
                if case .failed(let failure) = session.write(from: plain) { throw failure }
            }
            try flush()
        }
    }

    /// What comes next; empty after the client's close_notify.
    func receive() throws -> [UInt8] {
        while true {
            let outcome = session.read(into: plain)
            defer { plain.removeAll() }
            try flush()
            switch outcome {
            case .bytes: return plain.bytes()
            case .ended: return []
            case .failed(let failure): throw failure
            case .wantsInput, .wantsOutput: try fill()
            }
        }
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

    private func flush() throws {
        var rest = cipherOut.bytes()[...]
        cipherOut.removeAll()
        while !rest.isEmpty {
            let piece = rest.prefix(splits ? Int.random(in: 1...9000) : rest.count)
            rest = rest.dropFirst(piece.count)
            try socket.send(Array(piece))
        }
    }

    private func fill() throws {
        let bytes = try socket.receive(splits ? Int.random(in: 1...cipherIn.freeCount) : cipherIn.freeCount)
        if bytes.isEmpty { throw Closed(description: "the connection ended without the end of TLS") }
        cipherIn.append(bytes)
    }
}

extension TestBackend {
    /// A database that speaks TLS from the first byte.
    static func secured(
        as identity: TestIdentity? = nil, maximum: TLSVersion = .tls13, splits: Bool = false,
        receiveBuffer: Int32? = nil, protocols: [String] = [],
        _ serve: @escaping @Sendable (TestTLSServer, TestBackend) throws -> Void
    ) throws -> TestBackend {
        let context = try TestTLSServer.context(
            try identity ?? Stage.server.get(), maximum: maximum, protocols: protocols)
        return try TestBackend(receiveBuffer: receiveBuffer) { socket, backend in
            try serve(try TestTLSServer(socket, context, splits: splits), backend)
        }
    }
}
