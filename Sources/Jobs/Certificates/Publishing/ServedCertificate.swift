import Glibc
import IO
import OpenSSL

/// Asks a server which certificate it shows. Blocks, for a queue that may wait.
enum ServedCertificate {
    private static let sslRequest: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]
    private static let bufferSize = 64 << 10

    /// Nothing is verified but what comes back: whoever compares knows what it must be.
    static func leaf(
        shownBy check: PublicationConfiguration.Check, within limit: Duration
    ) throws(PublicationError) -> Certificate {
        let deadline = ContinuousClock.now + limit
        do {
            let addresses = try SocketAddress.resolve(check.address)
            for (number, address) in addresses.enumerated() {
                do { return try ask(address, check, deadline) } catch let error as IOError {
                    // localhost may be ::1 as well, where nobody need listen.
                    if number == addresses.count - 1 { throw error }
                }
            }
            throw PublicationError("it has no address")
        } catch { throw PublicationError("\(check.address): \(error)") }
    }

    private static func ask(
        _ address: SocketAddress, _ check: PublicationConfiguration.Check, _ deadline: ContinuousClock.Instant
    ) throws -> Certificate {
        let socket = try StreamSocket.connect(to: address)
        try socket.wait(forWriting: true, until: deadline)
        if let error = socket.connectError() { throw error }
        let cipherIn = LaneBuffer(capacity: bufferSize)
        let cipherOut = LaneBuffer(capacity: bufferSize)
        if check.spoken == .postgres {
            cipherOut.append(sslRequest)
            try send(cipherOut, socket, deadline)
            try receive(cipherIn, socket, deadline, limit: 1)
            guard cipherIn[0] == UInt8(ascii: "S") else { throw PublicationError("it does not speak TLS") }
            cipherIn.removeAll()
        }
        let host = check.address.lastIndex(of: ":").map { String(check.address[..<$0]) }
        let context = try TLSContext.client(identity: nil, trust: nil, serverName: host)
        let session = TLSSession(context, TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut))
        while true {
            let outcome = session.handshake()
            try send(cipherOut, socket, deadline)
            switch outcome {
            case .wantsInput: try receive(cipherIn, socket, deadline, limit: bufferSize)
            case .wantsOutput: continue
            case .finished, .finishedUnverified:
                guard let leaf = session.peerCertificate else { throw PublicationError("it shows no certificate") }
                session.close()
                try? send(cipherOut, socket, deadline)
                return leaf
            case .failed(let failure):
                // Who demands a certificate of ours has shown its own already.
                guard let leaf = session.peerCertificate else { throw PublicationError(failure.detail) }
                return leaf
            }
        }
    }

    private static func send(
        _ bytes: LaneBuffer, _ socket: borrowing StreamSocket, _ deadline: ContinuousClock.Instant
    ) throws(IOError) {
        while !bytes.isEmpty {
            switch socket.write(from: bytes) {
            case .bytes: continue
            case .wouldBlock: try socket.wait(forWriting: true, until: deadline)
            case .failed(let error): throw error
            }
        }
    }

    private static func receive(
        _ bytes: LaneBuffer, _ socket: borrowing StreamSocket, _ deadline: ContinuousClock.Instant, limit: Int
    ) throws(IOError) {
        while true {
            switch socket.read(into: bytes, limit: limit) {
            case .bytes: return
            case .wouldBlock: try socket.wait(forWriting: false, until: deadline)
            case .ended: throw IOError("receive", code: ECONNRESET, words: "it closed the connection")
            case .failed(let error): throw error
            }
        }
    }
}
