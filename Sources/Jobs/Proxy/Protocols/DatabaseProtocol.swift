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
