/// What a listener's clients speak inside TLS; fixed by configuration, never guessed from bytes.
package enum DatabaseProtocol: String, Sendable, CaseIterable {
    case postgres, cassandra, redis, tcp

    /// Postgres alone begins in clear.
    var startsWithTLS: Bool { self != .postgres }

    /// ALPN names that the server offers to choose from.
    var applicationProtocols: [String] { self == .postgres ? ["postgresql"] : [] }

    /// How many bytes of a client's first request a refusal needs, so that the client is listening and the answer fits.
    func refusal(_ refusal: Refusal, to request: [UInt8]) -> RefusalAnswer {
        switch self {
        case .postgres: .say(refusal.postgres.bytes)
        case .redis: request.isEmpty ? .needsMore : .say(Array("-\(refusal.redis)\r\n".utf8))
        case .cassandra: CassandraError(refusal).answer(to: request)
        case .tcp: .sayNothing
        }
    }
}

enum RefusalAnswer: Equatable {
    case needsMore
    case say([UInt8])
    case sayNothing
}

/// A refusal that a peer hears in its own protocol, inside TLS.
enum Refusal: Equatable, Sendable {
    case notAllowed(String)
    case tooManyConnections
    case backendDown
    case postgres(PostgresError)

    var postgres: PostgresError {
        switch self {
        case .notAllowed(let detail): .notAllowed(detail)
        case .tooManyConnections: .tooManyConnections
        case .backendDown: .databaseDown
        case .postgres(let error): error
        }
    }

    /// Redis's own words where it has them (networking.c).
    var redis: String {
        switch self {
        case .notAllowed(let detail): "NOPERM this client certificate is not allowed: \(detail)"
        case .tooManyConnections: "ERR max number of clients reached"
        case .backendDown: "ERR the database behind this port does not accept connections"
        case .postgres(let error): "ERR \(error.message)"
        }
    }
}

/// An ERROR frame of the Cassandra native protocol (specification v4 and v5, §9).
struct CassandraError: Equatable {
    let code: UInt32
    let message: String

    init(_ refusal: Refusal) {
        switch refusal {
        case .notAllowed(let detail):
            code = 0x0100
            message = "this client certificate is not allowed: \(detail)"
        case .tooManyConnections:
            code = 0x1001
            message = "too many connections"
        case .backendDown:
            code = 0x1002
            message = "the database behind this port does not accept connections"
        case .postgres(let error):
            code = 0x000A
            message = error.message
        }
    }

    /// In the version and for the stream of the request, without which a driver drops the answer.
    func answer(to request: [UInt8]) -> RefusalAnswer {
        guard let first = request.first else { return .needsMore }
        let version = first & 0x7F
        guard (1...6).contains(version) else { return .say(frame(version: 4, stream: [0, 0])) }
        // Versions 1 and 2 number their streams with one byte.
        let streamLength = version < 3 ? 1 : 2
        guard request.count >= 2 + streamLength else { return .needsMore }
        return .say(frame(version: version, stream: Array(request[2..<2 + streamLength])))
    }

    private func frame(version: UInt8, stream: [UInt8]) -> [UInt8] {
        let text = Array(message.utf8.prefix(1024))
        let body = bigEndian(code) + bigEndian(UInt32(text.count)).suffix(2) + text
        return [version | 0x80, 0] + stream + [0x00] + bigEndian(UInt32(body.count)) + body
    }
}
