/// An ERROR frame of the Cassandra native protocol (specification v4 and v5, §9).
struct CassandraError: Equatable {
    /// From version 5 on frames have an envelope, but only behind the answer to STARTUP (specification v5, §2.3.1): a
    /// refusal comes before.
    private static let versions: ClosedRange<UInt8> = 1...5
    /// What a client of an unknown version is answered in, as a server answers with the newest that it has:
    /// that is YugabyteDB's.
    private static let fallback: UInt8 = 4

    let code: UInt32
    let message: String

    init(_ refusal: Refusal) {
        switch refusal {
        case .notAllowed, .sessionNotAllowed, .certificateNotAccepted, .certificateRequired:
            code = 0x0100
            message = refusal.postgres.message
        case .tooManyConnections(let detail):
            code = 0x1001
            message = "too many connections: \(detail)"
        case .backendDown, .remoteDown:
            code = 0x1002
            message = refusal.postgres.message
        case .postgres(let error):
            code = 0x000A
            message = error.message
        }
    }

    /// In the version and for the stream of the request, without which a driver drops the answer.
    func answer(to request: [UInt8]) -> RefusalAnswer {
        guard let first = request.first else { return .needsMore }
        let version = first & 0x7F
        // Versions 1 and 2 number their streams with one byte.
        let streamLength = (1..<3).contains(version) ? 1 : 2
        guard request.count >= 2 + streamLength else { return .needsMore }
        let stream = Array(request[2..<2 + streamLength])
        return .say(frame(version: Self.versions.contains(version) ? version : Self.fallback, stream: stream))
    }

    private func frame(version: UInt8, stream: [UInt8]) -> [UInt8] {
        let text = Array(message.utf8.prefix(1024))
        let body = bigEndian(code) + bigEndian(UInt32(text.count)).suffix(2) + text
        return [version | 0x80, 0] + stream + [0x00] + bigEndian(UInt32(body.count)) + body
    }
}
