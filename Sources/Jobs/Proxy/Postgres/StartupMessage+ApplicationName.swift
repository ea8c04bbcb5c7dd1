extension StartupMessage {
    /// The packet with the client's address behind its `application_name`, as PgBouncer's `application_name_add_host`
    /// writes it: `psql - 192.0.2.1:5555`.
    ///
    /// A standby's packet stays as it is: its primary knows it by that name (`synchronous_standby_names`). So does one
    /// that would become longer than a server reads.
    func packet(naming address: String) -> [UInt8] {
        if isReplication { return packet }
        let suffix = Array(" - \(address)".utf8)
        var name: [UInt8] = []
        var body: [UInt8] = []
        for (key, value) in parameters {
            // Of several, the server takes the last.
            if key == Self.applicationName { name = value } else { body += key + [0] + value + [0] }
        }
        if name.isEmpty { name = Self.nameless }
        body += Self.applicationName + [0] + Self.shortened(name, to: Self.nameLimit - suffix.count) + suffix + [0, 0]
        let length = 8 + body.count
        guard length <= PostgresPreambleStateMachine.longestPacket else { return packet }
        return bigEndian(UInt32(length)) + packet[4..<8] + body
    }

    private var parameters: [(key: [UInt8], value: [UInt8])] {
        // A name and a value each, then what follows the last zero: nothing.
        let parts = packet[8..<packet.count - 1].split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
        return stride(from: 0, to: parts.count - 1, by: 2).map { (parts[$0], parts[$0 + 1]) }
    }

    private static let applicationName = Array("application_name".utf8)
    /// As PgBouncer calls a client that does not say what it is.
    private static let nameless = Array("app".utf8)
    /// PostgreSQL cuts at NAMEDATALEN (pg_config_manual.h), and the address must not be what is cut.
    private static let nameLimit = 63

    /// PostgreSQL writes each byte that is no printable ASCII as four, `\xNN` (pg_clean_ascii; as one before 16).
    private static func shortened(_ name: [UInt8], to limit: Int) -> [UInt8] {
        var left = limit
        return Array(
            name.prefix { byte in
                left -= (0x20...0x7E).contains(byte) ? 1 : 4
                return left >= 0
            })
    }
}
