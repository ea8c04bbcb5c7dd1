import Proxy
import Reports

/// Some of the live connections as JSON, in the order of their numbers: few enough, and short enough together, that an
/// answer with them stays far below its limit. `next`, where there are more, is what to ask for `after`.
struct ConnectionPage {
    /// A peer chooses how long its subject is.
    static let byteLimit = 1 << 20

    let document: JSONValue

    init(_ found: [ConnectionSummary], limit: Int) {
        var rows: [JSONValue] = []
        var byteCount = 0
        for connection in found.prefix(limit) {
            let row = Self.json(connection)
            byteCount += row.text.utf8.count
            if byteCount > Self.byteLimit, !rows.isEmpty { break }
            rows.append(row)
        }
        var members: [String: JSONValue] = ["connections": .array(rows)]
        if rows.count < found.count, let last = rows.indices.last { members["next"] = .count(found[last].id) }
        document = .object(members)
    }

    private static func json(_ connection: ConnectionSummary) -> JSONValue {
        [
            "id": .count(connection.id), "listener": .string(connection.listener),
            "peer_address": .string(connection.peerAddress),
            "carrier_address": connection.carrierAddress.map { .string($0) } ?? .null,
            "peer_subject": .string(connection.peerSubject),
            "peer_serial": .string(connection.peerSerial), "user": connection.user.map { .string($0) } ?? .null,
            "database": connection.database.map { .string($0) } ?? .null,
            "since": .string(connection.since.description),
            "bytes_received": .count(connection.bytesReceived), "bytes_sent": .count(connection.bytesSent),
            "remote_address": connection.remoteAddress.map { .string($0) } ?? .null,
        ]
    }
}
