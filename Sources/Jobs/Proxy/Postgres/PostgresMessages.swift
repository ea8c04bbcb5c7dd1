/// The codes that stand where a StartupMessage has its protocol version (`pqcomm.h`).
enum PostgresCode {
    static let cancelRequest: UInt32 = 80_877_102
    static let encryptionRequest: UInt32 = 80_877_103
    static let gssRequest: UInt32 = 80_877_104
}

/// A well-formed StartupMessage: its bytes as they came, and what the policy and the audit log need of it.
struct StartupMessage: Equatable, Sendable {
    let packet: [UInt8]
    /// As bytes, because the database compares bytes and nothing promises UTF-8 here.
    let user: [UInt8]?
    let database: [UInt8]?
    let replication: PostgresReplication

    /// `nil` when the layout is broken, or when `user`, `database` or `replication` is given twice: servers differ
    /// about which one counts, and a policy must see the same one as the server.
    init?(packet: [UInt8]) {
        guard packet.count > 8, packet.last == 0 else { return nil }
        var fields: [[UInt8]: [UInt8]] = [:]
        var rest = packet[8..<packet.count - 1]
        while !rest.isEmpty {
            guard let name = Self.takeText(&rest), !name.isEmpty, let value = Self.takeText(&rest) else { return nil }
            let isNew = fields.updateValue(value, forKey: name) == nil
            if !isNew, Self.decisive.contains(name) { return nil }
        }
        self.packet = packet
        user = fields[Array("user".utf8)]
        let named = fields[Array("database".utf8)] ?? []
        database = named.isEmpty ? user : named
        replication = fields[Array("replication".utf8)].map { PostgresReplication($0) } ?? .none
    }

    var isReplication: Bool { replication != .none }

    var session: SessionRequest {
        SessionRequest(
            user: user, database: replication == .physical ? nil : database, isReplication: isReplication)
    }

    private static let decisive = ["user", "database", "replication"].map { Array($0.utf8) }

    private static func takeText(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard let end = rest.firstIndex(of: 0) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return Array(rest[rest.startIndex..<end])
    }
}

/// What `replication` of a StartupMessage asks for.
enum PostgresReplication: Equatable, Sendable {
    case none
    /// Of all databases at once, whichever is named.
    case physical
    /// Of the database that is named (`replication=database`).
    case logical

    /// As `ProcessStartupPacket` and `parse_bool_with_len` read it: in any case, and any prefix that is unique. What
    /// PostgreSQL refuses to read counts as the most that it could mean.
    init(_ value: [UInt8]) {
        if value == Array("database".utf8) {
            self = .logical
            return
        }
        let text = value.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        let meansNo =
            text == [UInt8(ascii: "0")] || Self.isPrefix(text, of: "false", from: 1)
            || Self.isPrefix(text, of: "no", from: 1) || Self.isPrefix(text, of: "off", from: 2)
        self = meansNo ? .none : .physical
    }

    private static func isPrefix(_ text: [UInt8], of word: String, from shortest: Int) -> Bool {
        text.count >= shortest && word.utf8.starts(with: text)
    }
}

/// A request to cancel a running query; the key proves which one, and nothing else does.
struct CancelRequest: Equatable, Sendable {
    /// 4 bytes of key up to protocol 3.0, up to 256 from 3.2 on.
    static let lengths = 16...268

    let packet: [UInt8]
    var key: CancelKey { CancelKey(bytes: Array(packet[8...])) }
}

/// Process number and secret key of one session, exactly as BackendKeyData gave them to the client.
struct CancelKey: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    var description: String { "secret" }
}

/// What a client is told in PostgreSQL's own format (protocol.sgml, ErrorResponse).
struct PostgresError: Equatable, Sendable {
    let code: String
    let message: String
    var hint: String?

    static let tlsRequired = PostgresError(
        code: "28000", message: "TLS is required on this port",
        hint: "Connect with sslmode=require or stricter, and with a client certificate.")
    static let databaseDown = PostgresError(
        code: "57P03", message: "the database behind this port does not accept connections",
        hint: "The proxy is up; look at the database server.")

    /// At the near end of a tunnel.
    static let remoteDown = PostgresError(
        code: "57P03", message: "the remote end of this tunnel cannot be reached",
        hint: "The tunnel's own node is up; nodeguard status says there what is wrong.")

    /// It has been found so before, so long ago.
    func lasting(_ age: Duration) -> PostgresError {
        PostgresError(code: code, message: "\(message) (for \(age.components.seconds) s)", hint: hint)
    }

    static func tooManyConnections(_ detail: String) -> PostgresError {
        PostgresError(
            code: "53300", message: "too many connections: nodeguard's limit is reached: \(detail)",
            hint: "Try again later.")
    }

    static func notAllowed(_ detail: String) -> PostgresError {
        PostgresError(
            code: "28000", message: "this client certificate is not allowed: \(detail)",
            hint: "Ask the operator for a rule that names this certificate's identity.")
    }

    static func sessionNotAllowed(_ detail: String) -> PostgresError {
        PostgresError(
            code: "28000", message: "this client certificate may not \(detail)",
            hint: "Ask the operator for a rule that allows it.")
    }

    static func certificateNotAccepted(_ detail: String) -> PostgresError {
        PostgresError(
            code: "28000", message: "this client certificate is not accepted: \(detail)",
            hint: "Have a new one issued; \"depth 1\" or more means an authority above it, not itself.")
    }

    static let certificateRequired = PostgresError(
        code: "28000", message: "a client certificate is required",
        hint: "Set sslcert and sslkey to a certificate that this port trusts.")

    static func violation(_ detail: String) -> PostgresError { PostgresError(code: "08P01", message: detail) }

    static func unsupportedProtocol(_ code: UInt32) -> PostgresError {
        PostgresError(
            code: "0A000", message: "unsupported frontend protocol \(code >> 16).\(code & 0xFFFF): server supports 3.0")
    }

    var bytes: [UInt8] {
        var fields: [(Character, String)] = [("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", message)]
        if let hint { fields.append(("H", hint)) }
        var body: [UInt8] = []
        for (type, text) in fields { body += Array(String(type).utf8) + text.utf8.filter { $0 != 0 } + [0] }
        body.append(0)
        return [UInt8(ascii: "E")] + bigEndian(UInt32(body.count + 4)) + body
    }
}

func bigEndian(_ value: UInt32) -> [UInt8] {
    [
        UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
        UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value),
    ]
}
