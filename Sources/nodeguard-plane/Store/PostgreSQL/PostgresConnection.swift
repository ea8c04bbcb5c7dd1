import CPostgres
import Dispatch
import Glibc
import Synchronization

/// One session of PostgreSQL. Whoever waits for it waits no longer than `deadline`, whatever the server does.
final class PostgresConnection: Sendable {
    struct Answer: Sendable {
        var columns: [String] = []
        var rows: [[DatabaseValue]] = []
        /// Such as `UPDATE 1`.
        var tag = ""

        /// How many rows were changed, or read.
        var count: Int { tag.split(separator: " ").last.flatMap { Int($0) } ?? 0 }
    }

    private struct Link {
        let handle: OpaquePointer
        /// The names of prepared statements by their text and types.
        var prepared: [String: String] = [:]
    }

    /// Of one statement in milliseconds; the server's own limit comes before.
    static let deadline: Int64 = 35_000
    static let preparedLimit = 256

    private let link: Mutex<Link>

    init(_ address: PostgresAddress) throws {
        guard let handle = Self.connect(address.options) else { throw PostgresError.lost("no memory for a connection") }
        link = Mutex(Link(handle: handle))
        try link.withLock { try Self.begin($0.handle, isLocal: address.isLocal) }
        try run(Self.settings)
        guard try run("SHOW server_encoding").rows.first?.first == .text("UTF8") else {
            throw PostgresError(state: "22021", message: "the database's encoding is not UTF8; make it with that")
        }
    }

    deinit { link.withLock { PQfinish($0.handle) } }

    /// A session that stands still in a transaction would hold up all planes. A commit is durable when it is answered,
    /// whatever the database's default.
    private static let settings = """
        SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s';
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
        """

    private static func begin(_ handle: OpaquePointer, isLocal: Bool) throws {
        guard PQstatus(handle) == CONNECTION_OK else {
            throw PostgresError.lost(String(cString: PQerrorMessage(handle)))
        }
        guard isLocal || PQsslInUse(handle) == 1 else { throw PostgresError.lost("the connection is not encrypted") }
        PQsetnonblocking(handle, 1)
        PQsetErrorVerbosity(handle, PQERRORS_TERSE)
        // Notices go to standard error otherwise.
        PQsetNoticeReceiver(handle, { _, _ in }, nil)
    }

    private static func connect(_ options: [String: String]) -> OpaquePointer? {
        let pairs = options.sorted { $0.key < $1.key }
        var keywords: [UnsafePointer<CChar>?] = pairs.map { UnsafePointer(strdup($0.key)) }
        var values: [UnsafePointer<CChar>?] = pairs.map { UnsafePointer(strdup($0.value)) }
        defer { for text in keywords + values { free(UnsafeMutablePointer(mutating: text)) } }
        keywords.append(nil)
        values.append(nil)
        return PQconnectdbParams(&keywords, &values, 0)
    }

    /// One or several statements without arguments; the answer is the last one's, in text.
    @discardableResult
    func run(_ sql: String) throws -> Answer {
        try link.withLock { link in
            try Self.sent(PQsendQuery(link.handle, sql), link.handle)
            return try Self.answer(link.handle)
        }
    }

    /// A statement with arguments, prepared at its first use.
    func run(_ statement: PostgresStatement) throws -> Answer {
        let values = PostgresValues(statement.arguments)
        return try link.withLock { link in
            let name = try Self.prepare(statement.text, values, &link)
            try Self.sent(
                values.withPointers { pointers, lengths, formats in
                    PQsendQueryPrepared(link.handle, name, Int32(values.count), pointers, lengths, formats, 1)
                }, link.handle)
            return try Self.answer(link.handle)
        }
    }

    /// A statement that is not worth preparing, or means something else each time (FETCH).
    func runOnce(_ statement: PostgresStatement) throws -> Answer {
        let values = PostgresValues(statement.arguments)
        return try link.withLock { link in
            try Self.sent(
                values.withPointers { pointers, lengths, formats in
                    PQsendQueryParams(
                        link.handle, statement.text, Int32(values.count), values.types, pointers, lengths, formats, 1)
                }, link.handle)
            return try Self.answer(link.handle)
        }
    }

    /// Whether a transaction is left open, in whatever state; true as well when nobody knows.
    var isInTransaction: Bool { link.withLock { PQtransactionStatus($0.handle) != PQTRANS_IDLE } }

    private static func prepare(_ text: String, _ values: PostgresValues, _ link: inout Link) throws -> String {
        let signature = values.types.map { String($0) }.joined(separator: ",") + " " + text
        if let name = link.prepared[signature] { return name }
        if link.prepared.count >= preparedLimit {
            try sent(PQsendQuery(link.handle, "DEALLOCATE ALL"), link.handle)
            _ = try answer(link.handle)
            link.prepared = [:]
        }
        let name = "nodeguard_\(link.prepared.count)"
        try sent(PQsendPrepare(link.handle, name, text, Int32(values.count), values.types), link.handle)
        _ = try answer(link.handle)
        link.prepared[signature] = name
        return name
    }

    private static func sent(_ status: Int32, _ handle: OpaquePointer) throws {
        guard status == 1 else { throw PostgresError.lost(String(cString: PQerrorMessage(handle))) }
    }

    /// All answers are read to their end, so that the next statement finds the session free.
    private static func answer(_ handle: OpaquePointer) throws -> Answer {
        let end = milliseconds() + deadline
        try flush(handle, until: end)
        var answer = Answer()
        var failure: PostgresError?
        while true {
            while PQisBusy(handle) == 1 { try wait(handle, POLLIN, until: end) }
            guard let result = PQgetResult(handle) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
                answer = try PostgresValues.answer(result)
            case PGRES_EMPTY_QUERY: continue
            default:
                let state = CPostgres_state(result).map { String(cString: $0) }
                let message = PostgresError.line(String(cString: PQresultErrorMessage(result)))
                failure = failure ?? PostgresError(state: state, message: message)
            }
            if PQstatus(handle) == CONNECTION_BAD { break }
        }
        if let failure { throw failure }
        return answer
    }

    private static func flush(_ handle: OpaquePointer, until end: Int64) throws {
        while true {
            switch PQflush(handle) {
            case 0: return
            // The server may have to say something before it reads on (PQflush's own page says so).
            case 1: try wait(handle, POLLIN | POLLOUT, until: end)
            default: throw PostgresError.lost(String(cString: PQerrorMessage(handle)))
            }
        }
    }

    private static func wait(_ handle: OpaquePointer, _ events: Int32, until end: Int64) throws {
        let rest = end - milliseconds()
        var entry = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
        guard rest > 0, entry.fd >= 0 else {
            throw PostgresError.lost("the database did not answer within \(deadline / 1000) s")
        }
        let ready = poll(&entry, 1, Int32(rest))
        guard ready >= 0 || errno == EINTR else {
            throw PostgresError.lost("poll: \(String(cString: strerror(errno)))")
        }
        if ready > 0, Int32(entry.revents) & ~POLLOUT != 0, PQconsumeInput(handle) == 0 {
            throw PostgresError.lost(String(cString: PQerrorMessage(handle)))
        }
    }

    static func milliseconds() -> Int64 { Int64(DispatchTime.now().uptimeNanoseconds / 1_000_000) }
}
