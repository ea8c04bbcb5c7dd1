enum ProbeVerdict: Equatable {
    case needsMore, alive
    case wrong(String)
}

/// The cheapest question of each protocol that only a working database answers.
///
/// PostgreSQL's is SSLRequest, which is put before any of these: a startup packet would write a line into the
/// database's log each time. So would an 'S' that no handshake follows, and a handshake that no end follows.
extension DatabaseProtocol {
    /// Empty: that the connection opened says it all.
    var probeRequest: [UInt8] {
        switch self {
        case .postgres, .tcp: []
        // OPTIONS, version 4, stream 0 (native_protocol_v4.spec §2, §4.1.3).
        case .cassandra: [0x04, 0, 0, 0, 0x05, 0, 0, 0, 0]
        case .redis: Array("PING\r\n".utf8)
        }
    }

    func verdict(onProbe answer: [UInt8]) -> ProbeVerdict {
        switch self {
        case .postgres, .tcp: .alive
        case .cassandra: Self.cassandraVerdict(answer)
        case .redis: Self.redisVerdict(answer)
        }
    }

    /// SUPPORTED; or an ERROR about the version, from one that speaks another.
    private static func cassandraVerdict(_ answer: [UInt8]) -> ProbeVerdict {
        guard let version = answer.first else { return .needsMore }
        guard version & 0x80 != 0 else { return .wrong("the answer to OPTIONS is no CQL") }
        if answer.count < 9 { return .needsMore }
        switch answer[4] {
        case 0x06, 0x00: return .alive
        default: return .wrong("the answer to OPTIONS has opcode \(answer[4])")
        }
    }

    private static func redisVerdict(_ answer: [UInt8]) -> ProbeVerdict {
        for expected in ["+PONG", "-NOAUTH"] {
            let words = Array(expected.utf8)
            if answer.starts(with: words) { return .alive }
            if words.starts(with: answer) { return .needsMore }
        }
        let line = answer.prefix(64).prefix { $0 >= 0x20 && $0 < 0x7F }
        return .wrong("the answer to PING is '\(String(decoding: line, as: UTF8.self))'")
    }
}
