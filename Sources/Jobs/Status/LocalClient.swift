import Glibc
import NIOCore
import NIOPosix

/// What a local socket answered.
package struct LocalResponse: Sendable, Equatable {
    package let status: Int
    package let body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }
}

/// Why there is no answer from a local socket.
package enum LocalClientError: Error, Sendable, Equatable, CustomStringConvertible {
    case unreachable(path: String, reason: String)
    case notAllowed(path: String)
    case malformed(path: String)

    package var description: String {
        switch self {
        case .unreachable(let path, let reason): "nodeguard does not answer on \(path): \(reason)"
        case .notAllowed(let path): "you may not use \(path): ask for membership of its group"
        case .malformed(let path): "what answers on \(path) is not nodeguard"
        }
    }
}

/// The command line's side of the local sockets: one request a connection, one bounded answer.
package enum LocalClient {
    package static func send(
        _ method: String, _ path: String, to socket: String, timeoutSeconds: Int64 = 10
    ) async throws(LocalClientError) -> LocalResponse {
        let bytes: [UInt8]
        do {
            bytes = try await exchange(
                "\(method) \(path) HTTP/1.1\r\nHost: nodeguard\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                socket, timeoutSeconds)
        } catch let error as IOError where [EACCES, EPERM].contains(error.errnoCode) {
            throw .notAllowed(path: socket)
        } catch let error as IOError where error.errnoCode == ENOENT {
            throw .unreachable(path: socket, reason: "there is no such socket; is the daemon running?")
        } catch let error as IOError where error.errnoCode == ECONNREFUSED {
            throw .unreachable(path: socket, reason: "nobody listens; is the daemon running?")
        } catch {
            throw .unreachable(path: socket, reason: "\(error)")
        }
        if bytes.isEmpty { throw .unreachable(path: socket, reason: "no answer in \(timeoutSeconds) s") }
        guard let response = LocalResponse(parsing: bytes) else { throw .malformed(path: socket) }
        return response
    }

    private static func exchange(_ request: String, _ socket: String, _ timeout: Int64) async throws -> [UInt8] {
        let connection = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(timeout))
            .connect(unixDomainSocketPath: socket) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let channel = connection.channel
        let deadline = channel.eventLoop.scheduleTask(in: .seconds(timeout)) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        return try await connection.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var bytes: [UInt8] = []
            for try await part in inbound {
                bytes += part.readableBytesView
                if bytes.count > StatusConfiguration.answerLimit { break }
            }
            return bytes
        }
    }
}

extension LocalResponse {
    /// A whole answer up to the end of its connection: status line, headers, `Content-Length` bytes of body.
    init?(parsing bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0] == "HTTP/1.1" || words[0] == "HTTP/1.0", let status = Int(words[1]),
            (100...599).contains(status)
        else { return nil }
        let lengths = lines.dropFirst().compactMap { line -> Int? in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { return nil }
            return Int(parts[1].drop { $0 == " " })
        }
        guard let length = lengths.first, length == bytes.count - end.upperBound else { return nil }
        self.init(status: status, body: Array(bytes[end.upperBound...]))
    }
}
