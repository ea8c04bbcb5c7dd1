/// What precedes the client's bytes on the way to a database, or TLS: a header that says who the client is, and
/// PostgreSQL is asked by SSLRequest.
///
/// Owned by one connection to a backend. Only 'S' will do, and exactly one byte is read: what came in clear can never
/// pass for a part of TLS (CVE-2021-23222), and there is no way back to a connection in clear.
struct BackendPreambleStateMachine {
    enum Action: Hashable {
        /// Send it all, then call `sent`.
        case send([UInt8])
        /// Read exactly one byte, then call `received` or `ended`.
        case readOne
        case startTLS
        /// In clear.
        case open
        case fail(String)
    }

    enum Way: Hashable {
        case clear
        /// By PostgreSQL's SSLRequest.
        case askingForTLS
        /// From the first byte.
        case directTLS
    }

    private enum Phase: Hashable { case connecting, announcing, asking, asked, over }

    private let way: Way
    private let header: [UInt8]
    private var phase = Phase.connecting

    /// `header`: of the PROXY protocol, which stands before everything else; empty: there is none.
    init(_ way: Way, header: [UInt8]) {
        self.way = way
        self.header = header
    }

    mutating func connected() -> Action {
        precondition(phase == .connecting)
        if header.isEmpty { return begin() }
        phase = .announcing
        return .send(header)
    }

    mutating func sent() -> Action {
        if phase == .announcing { return begin() }
        precondition(phase == .asking)
        phase = .asked
        return .readOne
    }

    private mutating func begin() -> Action {
        phase = way == .askingForTLS ? .asking : .over
        switch way {
        case .clear: return .open
        case .askingForTLS: return .send(Self.encryptionRequest)
        case .directTLS: return .startTLS
        }
    }

    mutating func received(_ byte: UInt8) -> Action {
        precondition(phase == .asked)
        phase = .over
        switch byte {
        case UInt8(ascii: "S"): return .startTLS
        case UInt8(ascii: "N"): return .fail("the database does not speak TLS: it answered SSLRequest with 'N'")
        // An error in clear is nobody's word (CVE-2024-10977): it is not even read.
        case UInt8(ascii: "E"): return .fail("the database answered SSLRequest with an error")
        default: return .fail("the database answered SSLRequest with byte \(byte)")
        }
    }

    mutating func ended() -> Action {
        phase = .over
        return .fail("the database closed the connection instead of answering SSLRequest")
    }

    /// Length 8, then `PostgresCode.encryptionRequest`.
    private static let encryptionRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
}
